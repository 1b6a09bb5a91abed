"""The formatter hides secrets, bounds what it writes, and never fails whoever logs."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
import structlog
from django.test import RequestFactory
from pydantic import BaseModel

from config.settings.environment import BASE_DIR
from core.events.event import Event
from core.logs import parse_line
from core.logs.formatter import LineFormatter

SECRET = "hunter2"


@dataclass
class Card:
    """A data class with a secret, and one that it keeps out of its repr."""

    owner: str
    pin: str
    number: str = field(default=SECRET, repr=False)


class Login(BaseModel):
    """A pydantic model with a secret."""

    name: str
    password: str


Pair = namedtuple("Pair", ["name", "token"])


class Broken:
    """An object that cannot be looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")


def parsed(message: Any, *args: Any, **attributes: Any) -> dict[str, Any]:
    """Return what both formats say about a record, which is the same."""
    base = {"name": "shop", "levelname": "INFO", "msg": message}
    record = logging.LogRecord("shop", logging.INFO, "x.py", 1, message, args, None)
    vars(record).update(base | attributes)
    lines = [LineFormatter(service="web", format=each).format(record) for each in ("text", "json")]
    assert all(len(line.splitlines()) == 1 for line in lines)
    text, from_json = map(parse_line, lines)
    assert text == from_json | {"time": text["time"]}
    return text


@pytest.mark.parametrize(
    "value",
    [
        {"password": SECRET},
        {"a": [{"b": ({"apiKey": SECRET},)}]},
        {"token": {"deep": [SECRET]}},
        [Card("Ada", SECRET)],
        Card("Ada", SECRET),
        {"login": Login(name="Ada", password=SECRET)},
        Pair("Ada", SECRET),
        {"x": Pair("Ada", SECRET)},
        {b"authorization": SECRET},
        [["Host", "x"], ["Authorization", SECRET]],
        {"headers": [(b"host", b"x"), (b"cookie", SECRET.encode())]},
    ],
)
def test_secrets_are_redacted_at_any_depth(value: Any) -> None:
    """By the names of fields: in extra fields, in arguments, in mappings and data classes."""
    assert SECRET not in str(parsed("x", value=value))
    if not isinstance(value, tuple):
        assert SECRET not in str(parsed("got %s", value))
        assert SECRET not in str(parsed("got %r and %r", value, 1))
    assert SECRET not in str(parsed("x", fields={"authorization": SECRET, "deep": value}))


def test_arguments_by_name_are_redacted() -> None:
    """A message that names its arguments shows a secret as redacted."""
    found = parsed("%(user)s with %(password)s", {"user": "Ada", "password": SECRET})
    assert found["message"] == "Ada with [redacted]"


def test_what_an_event_carries_stays_out() -> None:
    """An event as a field shows what its repr shows, which is not its payload."""
    event = Event(
        *(UUID(int=1), "order.paid", 1, {"phone": SECRET}, "shop", None, datetime.now(UTC))
    )
    found = parsed("x", event=event)
    assert found["event"]["name"] == "order.paid"
    assert SECRET not in str(found)


def test_a_request_without_its_query() -> None:
    """A request as a field is its method and its path."""
    request = RequestFactory().get(f"/orders/?token={SECRET}")
    assert parsed("x", request=request)["request"] == "GET /orders/"


def test_values_of_other_types() -> None:
    """They become texts, numbers, lists and dicts."""

    class Colour(Enum):
        RED = "red"

    values = {
        "id": UUID(int=1),
        "price": Decimal("1.10"),
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "colour": Colour.RED,
        "set": {1},
        "bytes": b"1234",
        "error": ValueError("no"),
        "nan": float("nan"),
        "big": 2**70,
        "huge": 10**10_000,
    }
    found = parsed("x", fields=values)
    assert {name: found[name] for name in values} == {
        "id": str(UUID(int=1)),
        "price": "1.10",
        "at": "2026-01-01T00:00:00+00:00",
        "colour": "red",
        "set": [1],
        "bytes": "<4 bytes>",
        "error": "ValueError: no",
        "nan": "nan",
        "big": str(2**70),
        "huge": "<int of 33220 bits>",
    }


WARNS = """
import logging.config, warnings
from core.logs import logging_config
logging.config.dictConfig(logging_config(service="import"))
warnings.warn("two\\nlines", UserWarning)
"""


def test_warnings_of_python_are_lines() -> None:
    """What `warnings.warn` says is a record like all others."""
    run = subprocess.run(
        [sys.executable, "-c", WARNS], cwd=BASE_DIR, check=True, capture_output=True, text=True
    )
    (line,) = map(parse_line, run.stderr.splitlines())
    assert (line["level"], line["logger"], line["service"]) == ("WARNING", "py.warnings", "import")
    assert "two\nlines" in line["message"]


def test_a_line_has_bounds() -> None:
    """Long texts, long and deep containers, and too many of them, are cut."""
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    wide = {f"k{number}": "x" * 100_000 for number in range(500)}
    deep: Any = "x"
    for _ in range(1000):
        deep = [deep]
    found = parsed("m" * 1_000_000, fields={**wide, "deep": deep, "cycle": cycle, "s": "y" * 10**6})
    assert len(str(found)) < 120_000
    assert "characters" in found["message"]


def test_arguments_that_do_not_fit() -> None:
    """The line has the message as it stands, says so, and shows the arguments without secrets."""
    found = parsed("%d of %d", "x", {"password": SECRET})
    assert found["message"] == "%d of %d"
    assert "TypeError" in found["log_error"]
    assert found["arguments"] == ["x", {"password": "[redacted]"}]


def test_objects_that_cannot_be_looked_at() -> None:
    """The line says so in their place; all else is there."""
    found = parsed("got %s", Broken(), thing=Broken(), things=[Broken(), 1])
    assert found["log_error"] == "the arguments do not fit the message: RuntimeError"
    assert found["thing"] == "<unprintable Broken: RuntimeError>"
    assert found["things"] == ["<unprintable Broken: RuntimeError>", 1]
    assert "unprintable Broken" in parsed(Broken())["message"]


def test_a_record_that_is_none() -> None:
    """Even of a record whose own attributes are broken there is a line."""
    assert "cannot be written" in parsed("x", created="yesterday")["log_error"]
    assert "cannot be written" in parsed("x", name=None, levelname=None, created=1e300)["log_error"]


def test_an_exception_is_a_field() -> None:
    """The traceback is one field at the end, and the chain is in it."""
    try:
        try:
            raise KeyError("first\nline")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError:
        found = parsed("failed", exc_info=sys.exc_info(), order=7)
    assert list(found)[-2:] == ["order", "exception"]
    assert found["exception"].startswith("Traceback")
    assert found["exception"].endswith("ValueError: second")
    assert "KeyError" in found["exception"]


def test_an_exception_that_cannot_be_shown() -> None:
    """Its traceback is there without its text."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    try:
        raise Mute
    except Mute:
        assert "Mute" in parsed("failed", exc_info=sys.exc_info())["exception"]


def test_levels_of_ones_own() -> None:
    """A level that has no name is one word all the same."""
    assert parsed("x", levelname="Level 15")["level"] == "Level_15"


def test_native_structlog_loggers(caplog: pytest.LogCaptureFixture) -> None:
    """`structlog.get_logger()` makes the same lines, with the same fields and redaction."""
    with caplog.at_level(logging.INFO, "shop.native"):
        LineFormatter(service="web")
        log = structlog.get_logger("shop.native").bind(order=7)
        log.info("paid %s", "now", password=SECRET)
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("failed")
    first, second = (
        parse_line(LineFormatter(service="web").format(record)) for record in caplog.records
    )
    assert (first["logger"], first["message"]) == ("shop.native", "paid now")
    assert (first["order"], first["password"]) == (7, "[redacted]")
    assert second["exception"].endswith("ValueError: no")
