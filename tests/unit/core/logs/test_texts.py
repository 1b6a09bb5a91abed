"""A secret in a text that somebody put together himself is found by the name beside it."""

from __future__ import annotations

import json
import logging
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.logs import parse_line
from core.logs.formatter import LineFormatter
from core.logs.texts import shown, without_secrets

SECRET = "hunter2/Hunter2=="


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f'"GET /x?token={SECRET}&page=2 HTTP/1.1" 404', "page=2 HTTP"),
        (f"/login?next=/x%3Ftoken%3D{SECRET}%26a%3Db", "%26a%3Db"),
        (json.dumps({"password": SECRET, "user": "ada"}), '"user": "ada"'),
        (json.dumps({"body": json.dumps({"pin": SECRET, "user": "ada"})}), "user"),
        (repr({"apiKey": [SECRET, SECRET], "user": "ada"}), "'user': 'ada'"),
        (repr([(b"Set-Cookie", SECRET.encode()), (b"Date", b"x")]), "(b'Date', b'x')"),
        (f"Key (token)=({SECRET}) already exists.", "already exists."),
        (f"host=db password={SECRET} dbname=shop", "dbname=shop"),
        (f"secret='two words {SECRET}' x=1", "x=1"),
        ("amqp://shop:hunter2@mq:5672//", "amqp://shop:[redacted]@mq:5672//"),
        (f"sent with Bearer {SECRET}", "sent with Bearer [redacted]"),
        ("sent with Basic aHVudGVyMg== once", "sent with Basic [redacted] once"),
    ],
)
def test_secrets_within_a_text(text: str, rest: str) -> None:
    """In URLs and their queries, in JSON, in reprs, in headers, in what a database says."""
    found = without_secrets(text)
    assert "hunter2" not in found
    assert "aHVudGVyMg" not in found
    assert rest in found
    assert without_secrets(found) == found


@pytest.mark.parametrize(
    "text", ["token refused: expired", "order=5 a=b", "Basic authentication", "see http://x/?a=b@c"]
)
def test_a_text_without_secrets(text: str) -> None:
    """It stays as it is."""
    assert without_secrets(text) == text


def test_messages_arguments_fields_and_exceptions() -> None:
    """Each text of a line is searched, wherever it comes from."""
    url = f"/x?access_token={SECRET}"
    try:
        raise ConnectionError(f"no answer from {url}")
    except ConnectionError as error:
        info = (type(error), error, error.__traceback__)
    values = {"name": "shop", "msg": f"{url} %s", "args": (url,), "exc_info": info, "urls": [url]}
    line = LineFormatter(service="web").format(logging.makeLogRecord(values))
    assert "hunter2" not in line
    assert parse_line(line)["urls"] == ["/x?access_token=[redacted]"]


def test_a_very_long_text() -> None:
    """It is cut first; what is left of it is searched."""
    found = shown(f"token={SECRET} " * 100_000, 1000)
    assert len(found) < 3000
    assert "hunter2" not in found


@given(st.lists(st.sampled_from(["a=", "token", "'", '"', "\\", ":", "[", "('", "://", "@", " "])))
def test_no_text_takes_long(parts: list[str]) -> None:
    """Whatever stands in a text, it is searched in far less than a second."""
    text = ("".join(parts) * 16_000)[:16_000]
    began = time.thread_time()
    without_secrets(text)
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize("text", ["{'password': '[redacted]'}", "token=[redacted]&a=1"])
def test_what_is_redacted_stays_as_it_is(text: str) -> None:
    """Arguments are redacted before they become text."""
    assert without_secrets(text) == text
