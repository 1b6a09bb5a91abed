"""A record is always one line, and the line says what the record said."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.context import bound_fields, event_context
from core.logs import parse_line
from core.logs.fields import FIXED
from core.logs.formatter import LineFormatter
from core.logs.lines import ascii_only, json_line, text_line
from core.logs.values import Values

FORMATS = ("text", "json")
NASTY = st.sampled_from(
    [
        *('a="b" c=d', "x\ny", "\r", "\x85", "\u2028", "\u2029", "\x00", "\x1b[31m", "\ud800"),
        *("-", "null", "true", "1", "-0", "1e5", "007", "{", "[", '"', "\\", "\\n", " ", "", "é"),
        *("\u202e", "😀", "\ud83d", "\ude00", "\udcff"),
    ]
)
TEXTS = st.one_of(st.text(), NASTY, st.text(st.characters(codec=None)))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
FIELDS = st.dictionaries(TEXTS, VALUES, max_size=6)


def record(message: Any, *args: Any, name: str = "shop", **fields: Any) -> logging.LogRecord:
    """Return a record with these fields, as a StructuredLogger gives them."""
    made = logging.makeLogRecord({"name": name, "levelname": "INFO", "msg": message, "args": args})
    made.fields = fields
    return made


def lines_of(made: logging.LogRecord) -> dict[str, str]:
    return {each: LineFormatter(service="web", format=each).format(made) for each in FORMATS}


@given(message=TEXTS, name=TEXTS, fields=FIELDS)
def test_whatever_is_logged_is_one_line_that_can_be_read_back(
    message: str, name: str, fields: dict[str, Any]
) -> None:
    """Both formats parse to the same fields, in the same order, whatever the values hold."""
    made = record("%s", message, name=name)
    made.fields = fields
    lines = lines_of(made)
    for line in lines.values():
        assert len(line.splitlines()) == 1
        assert line.isprintable()
        line.encode()
    text, from_json = (parse_line(line) for line in lines.values())
    assert list(text) == list(from_json)
    assert text == from_json
    assert tuple(text)[: len(FIXED)] == FIXED
    assert text["message"] == Values().plain(message)
    assert (text["service"], text["level"]) == ("web", "INFO")


@given(fields=st.dictionaries(st.from_regex(r"[a-z_.\-]{1,20}", fullmatch=True), VALUES))
def test_values_come_back_as_they_were(fields: dict[str, Any]) -> None:
    """A text that looks like a number stays a text, a number a number, nothing nothing."""
    head = dict.fromkeys(FIXED, "x") | {"time": "2026-01-01T00:00:00.000000Z"}
    plain = {f"f_{name}": Values().plain(value) for name, value in fields.items()}
    for render in (text_line, json_line):
        assert parse_line(render(head | plain)) == head | plain


@given(message=TEXTS, value=VALUES)
def test_a_stream_that_takes_only_ascii(message: str, value: Any) -> None:
    """The line in ASCII says the same."""
    line = lines_of(record("%s", message, value=value))["text"]
    assert ascii_only(line).isascii()
    assert parse_line(ascii_only(line)) == parse_line(line)


def test_the_line_for_people() -> None:
    """Time, level, service, logger, correlation id and message, then what else there is."""
    with event_context(correlation_id="c-1"), bound_fields(route="shop.receipt", attempt=2):
        line = lines_of(record("paid %d", 3, order="7", note="two words", none=None))["text"]
    assert line.partition(" ")[2] == (
        'INFO service=web logger=shop correlation_id=c-1 message="paid 3" route=shop.receipt '
        'attempt=2 order="7" note="two words" none=-'
    )


def test_without_a_correlation_id() -> None:
    """The field is there all the same."""
    assert " correlation_id=- " in lines_of(record("x"))["text"]
    assert json.loads(lines_of(record("x"))["json"])["correlation_id"] is None


def test_fields_that_are_called_like_others() -> None:
    """No field hides one of the fixed ones, or another that only differs by odd characters."""
    made = record("x")
    made.fields = {"service": "mine", "a b": 1, "a=b": 2, "": 3, "message": 4}
    found = parse_line(lines_of(made)["text"])
    assert (found["service"], found["message"]) == ("web", "x")
    assert (found["service_"], found["a_b"], found["a_b_"], found["_"]) == ("mine", 1, 2, 3)
    assert found["message_"] == 4


def test_extra_fields_of_plain_loggers() -> None:
    """`extra=` of any logger becomes fields; a request shows neither its query nor its repr."""
    made = record("x")
    del made.fields
    made.order, made.status_code = 7, 404
    found = parse_line(lines_of(made)["text"])
    assert (found["order"], found["status_code"]) == (7, 404)


@pytest.mark.parametrize(
    "line",
    ["", "hello", "[INFO] x", "{}", "[]", '{"a":1}', "2026-01-01T00:00:00Z INFO service=web"]
    + [None, 5, b"2026-01-01T00:00:00Z INFO service=web"]
    + [
        '2026-01-01T00:00:00Z INFO service=a logger=b correlation_id=- message="' + rest
        for rest in ("", 'x" a', 'x" a=', 'x" a=b a=c', 'x"  a=b', 'x" a=b"c')
    ],
)
def test_what_is_no_line(line: Any) -> None:
    """A line that was cut off, or that something else wrote, is refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_line(line)
