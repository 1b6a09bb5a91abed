"""Properties of payloads: what goes in comes out equal, with its type."""

from __future__ import annotations

import json
import math
from datetime import UTC, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.events import EventPayloadError, ModelRef
from core.events.payload import decode, encode
from tests.unit.core.events.test_payload import Colour, Level, Mode, Status

LIMIT = 256 * 1024

text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00") | st.sampled_from("$\"\\'"),
    max_size=20,
)
zones = (
    st.none()
    | st.just(UTC)
    | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
)
hashables = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.datetimes(timezones=zones)
    | st.dates()
    | st.times(timezones=zones)
    | st.timedeltas()
    | st.binary(max_size=20)
    | st.sampled_from([*Colour, *Level, *Mode, *Status])
    | st.builds(ModelRef, text, st.integers() | st.uuids() | text, text),
    lambda inner: st.frozensets(inner, max_size=4),
    max_leaves=5,
)
keys = text | st.sampled_from(["$", "$$", "$decimal", "$$decimal", "$set", "$ref", "$enum", "$int"])
values = st.recursive(
    hashables | st.sets(hashables, max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=15,
)
payloads = st.dictionaries(keys, values, max_size=5)
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


def shape(value: Any) -> Any:
    """Return a value that is equal only where type and value are, all the way down."""
    if isinstance(value, dict):
        return dict, [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return list, [shape(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value), frozenset(map(repr, value)), value
    if isinstance(value, float):
        return float, value, math.copysign(1, value)
    if isinstance(value, Decimal):
        return Decimal, value.as_tuple()
    return type(value), value


@relaxed
@given(payloads)
def test_what_goes_in_comes_out_equal_with_its_type(payload: dict[str, Any]) -> None:
    """Every payload of the contract's types survives the round trip unchanged."""
    found = decode(encode(payload, signal="test.signal", limit=LIMIT))
    assert found == payload
    if not _has_sets(payload):
        assert shape(found) == shape(payload)


def _has_sets(value: Any) -> bool:
    # Members of sets have no order to compare by, and 1 and 1.0 are one member.
    if isinstance(value, dict):
        return any(map(_has_sets, value.values()))
    return isinstance(value, set | frozenset) or (
        isinstance(value, list) and any(map(_has_sets, value))
    )


@relaxed
@given(payloads)
def test_encoding_is_stable(payload: dict[str, Any]) -> None:
    """What came out encodes to an equal payload again: a replay changes nothing."""
    once = decode(encode(payload, signal="test.signal", limit=LIMIT))
    assert decode(encode(once, signal="test.signal", limit=LIMIT)) == payload


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5) | st.just("$decimal") | st.integers(), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@relaxed
@given(st.dictionaries(st.text(max_size=5), json_like, max_size=4), st.integers(64, 300))
def test_a_payload_is_encoded_or_refused_by_name(payload: dict[str, Any], limit: int) -> None:
    """Whatever is sent, the result is a text within the limit or an EventPayloadError."""
    refusal, encoded = None, ""
    try:
        encoded = encode(payload, signal="test.signal", limit=limit)
    except EventPayloadError as error:
        refusal = str(error)
    if refusal is None:
        assert len(encoded.encode()) <= limit
        assert "\x00" not in encoded
        assert decode(encoded) == payload
    else:
        assert refusal.startswith("test.signal: ")
        assert refusal.encode()


TAGS = (
    *("$decimal", "$uuid", "$datetime", "$date", "$time", "$timedelta", "$bytes", "$int", "$set"),
    *("$frozenset", "$tuple", "$enum", "$ref", "$x", "a"),
)
stored = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(TAGS),
            inner,
            max_size=2,
        )
    ),
    max_leaves=10,
)


@relaxed
@given(stored)
def test_reading_fails_only_with_the_engines_error(damaged: Any) -> None:
    """A stored text that is damaged raises EventPayloadError and nothing else."""
    try:
        assert isinstance(decode(json.dumps({"value": damaged})), dict)
    except EventPayloadError:
        pass
