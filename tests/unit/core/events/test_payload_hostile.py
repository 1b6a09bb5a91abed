"""Payloads that are meant to hurt."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

from core.events import EventPayloadError, EventSignal
from core.events.models import Delivery, EventRecord
from core.events.payload import MAX_DEPTH, decode, encode
from tests.unit.core.events.support import record_route

LIMIT = 256 * 1024


def attempt(data: dict[str, Any], limit: int = LIMIT) -> str:
    """Return the payload's text."""
    return encode(data, signal="test.signal", limit=limit)


def nested(depth: int, kind: type) -> Any:
    """Return a value of so many levels."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"k": value}
    return value


@pytest.mark.parametrize("kind", [list, dict])
def test_deep_nesting_is_refused_without_a_recursion_error(kind: type) -> None:
    """A payload deeper than the limit is a payload error, however deep it is."""
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(EventPayloadError, match="nested deeper"):
            attempt({"value": nested(depth, kind)})


@pytest.mark.parametrize("kind", [list, dict])
def test_nesting_within_the_limit_works(kind: type) -> None:
    """What the encoder lets through, the decoder reads."""
    value = nested(MAX_DEPTH - 2, kind)
    assert decode(attempt({"value": value})) == {"value": value}


def test_a_deep_set_of_tuples_works_or_is_refused() -> None:
    """Tags add levels of their own, and those do not break the reader."""
    value: Any = 1
    for _ in range(MAX_DEPTH - 3):
        value = (value,)
    assert decode(attempt({"value": {value}})) == {"value": {value}}


def test_a_payload_that_contains_itself_is_refused() -> None:
    """Recursion ends in a payload error."""
    loop: dict[str, Any] = {}
    loop["again"] = loop
    with pytest.raises(EventPayloadError, match="contains itself"):
        attempt({"value": loop})


def assert_refused_cheaply(data: dict[str, Any]) -> None:
    """Check that a payload is refused within a second and 50 MiB."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(EventPayloadError, match=r"test\.signal"):
            attempt(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 5
    assert peak < 50 * 1024 * 1024


def test_shared_lists_that_explode_are_refused_before_they_do() -> None:
    """A few shared lists that unfold to 10**9 items cost next to nothing."""
    value: Any = [0] * 10
    for _ in range(8):
        value = [value] * 10
    assert_refused_cheaply({"value": value})


@pytest.mark.parametrize(
    "item", ["x" * 200_000, b"x" * 150_000, 10**150_000], ids=["str", "bytes", "int"]
)
def test_a_large_value_shared_many_times_is_refused_before_it_is_written(item: Any) -> None:
    """The size counts as it would be written, not as it is in memory."""
    assert_refused_cheaply({"value": [item] * 10_000})


def test_an_oversized_payload_names_the_value() -> None:
    """The error says how large a payload may be and which value to store elsewhere."""
    with pytest.raises(EventPayloadError, match=r"'photo'.*EVENTS_MAX_PAYLOAD_BYTES \(1000\)"):
        attempt({"id": 1, "photo": "x" * 1000}, limit=1000)


def test_the_limit_is_exact() -> None:
    """A payload of as many bytes as are allowed is recorded, one more is not."""
    text = attempt({"a": "é" * 10})
    size = len(text.encode())
    assert attempt({"a": "é" * 10}, limit=size) == text
    with pytest.raises(EventPayloadError, match="'a'"):
        attempt({"a": "é" * 10}, limit=size - 1)


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
@pytest.mark.parametrize("where", ["value", "key", "nested"])
def test_nul_characters_are_refused_with_the_reason(text: str, where: str) -> None:
    """PostgreSQL cannot store NUL in text, so no event has one, on any database."""
    payload = {"value": {"a": text}, "key": {"a": {text: 1}}, "nested": {"a": [{"b": text}]}}[where]
    with pytest.raises(EventPayloadError, match="NUL"):
        attempt(payload)


def test_an_escaped_nul_is_only_text() -> None:
    """The six characters of a JSON escape are not a NUL."""
    assert decode(attempt({"a": "\\u0000"})) == {"a": "\\u0000"}


@pytest.mark.parametrize("payload", [{"a": "\ud800"}, {"a": ["x\udfff"]}, {"a": {"\udc00": 1}}])
def test_lone_surrogates_are_refused_with_the_reason(payload: dict[str, Any]) -> None:
    """A lone surrogate is not Unicode; the message about it can itself be written."""
    with pytest.raises(EventPayloadError, match="surrogate") as caught:
        attempt(payload)
    assert str(caught.value).encode()


def test_an_error_below_a_strange_key_can_be_written() -> None:
    """A message never holds what a log or a terminal cannot take."""
    with pytest.raises(EventPayloadError) as caught:
        attempt({"\ud800": object()})
    assert str(caught.value).encode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value",
    [object(), "x" * 300_000, "\x00", "\ud800", float("nan"), nested(100, list)],
    ids=["object", "large", "nul", "surrogate", "nan", "deep"],
)
def test_nothing_is_written_for_a_refused_payload(value: Any) -> None:
    """A bad payload stops before anything is recorded, and no receiver hears of it."""
    signal = EventSignal("order.paid")
    record_route("order.*")
    heard: list[Any] = []

    def receiver(**kwargs: Any) -> None:
        heard.append(kwargs)

    signal.connect(receiver)
    with pytest.raises(EventPayloadError, match=r"order\.paid: 'value"):
        signal.send(sender=None, value=value)
    with pytest.raises(EventPayloadError):
        signal.send_many(sender=None, payloads=[{"value": 1}, {"value": value}])
    assert not EventRecord.objects.exists()
    assert not Delivery.objects.exists()
    assert heard == []
