"""What a payload may hold, and how it comes out again."""

from __future__ import annotations

import json
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group
from django.db.models import TextChoices
from django.utils.functional import lazystr
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from core.events import EventPayloadError, ModelRef
from core.events.payload import decode, encode

LIMIT = 256 * 1024


class Colour(Enum):
    RED = "red"
    GREEN = ("green", 2)


class Level(IntEnum):
    LOW = 1


class Mode(StrEnum):
    FAST = "fast"


class Status(TextChoices):
    OPEN = "open", "Open"


Point = namedtuple("Point", "x y")


def round_trip(data: dict[str, Any]) -> dict[str, Any]:
    """Return what a handler gets for this payload."""
    return decode(encode(data, signal="test.signal", limit=LIMIT))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        2**63,
        -(2**63) - 1,
        10**4000,
        1.5,
        -0.0,
        1e16,
        5e-324,
        "",
        "text with ä, 🚂 and \u2028",
        "$decimal",
        Decimal("110.00"),
        Decimal("-1E+50"),
        Decimal("Infinity"),
        UUID("0190b7a2-0000-7000-8000-000000000001"),
        datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
        datetime(2026, 3, 1, 12, 30),
        datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
        date(2026, 3, 1),
        time(12, 30, 15, 5),
        time(12, 30, tzinfo=UTC),
        timedelta(days=-3, microseconds=1),
        timedelta.max,
        Colour.RED,
        Colour.GREEN,
        Level.LOW,
        Mode.FAST,
        Status.OPEN,
        b"",
        b"\x00\xff raw",
        {1, 2, 3},
        {"a", 1, None, Decimal("1.5")},
        frozenset({b"a", (1, ("b", 2))}),
        set(),
        [],
        {},
        [1, [2, {"three": {4}}]],
        {"nested": {"deeper": [Decimal(1), {"x": date(2026, 1, 1)}]}},
        ModelRef("shop.order", 5, "Order 5"),
        ModelRef("shop.order", UUID(int=7)),
    ],
    ids=repr,
)
def test_a_value_comes_out_equal_and_with_its_type(value: Any) -> None:
    """Every type that the contract names survives the round trip as itself."""
    found = round_trip({"value": value})["value"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ((1, 2), [1, 2]),
        (Point(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (lazystr("lazy"), "lazy"),
        (gettext_lazy("No"), "No"),
        (SafeString("<b>"), "<b>"),
    ],
    ids=["tuple", "namedtuple", "ordered dict", "lazy string", "translation", "safe string"],
)
def test_what_becomes_a_plain_type(value: Any, found: Any) -> None:
    """A tuple comes out as a list, a lazy string and every other string as str."""
    result = round_trip({"value": value})["value"]
    assert result == found
    assert type(result) is type(found)


def test_a_datetime_with_a_named_zone_is_the_same_moment() -> None:
    """A zone comes back as its offset at that moment."""
    value = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    found = round_trip({"value": value})["value"]
    assert found == value
    assert found.utcoffset() == timedelta(hours=2)


def test_not_a_number_stays_a_decimal() -> None:
    """Decimal's NaN comes back as what it is."""
    found = round_trip({"value": Decimal("NaN")})["value"]
    assert isinstance(found, Decimal)
    assert found.is_nan()


def test_negative_zero_keeps_its_sign() -> None:
    """A float comes back with its sign, also where equality does not see it."""
    assert str(round_trip({"value": -0.0})["value"]) == "-0.0"


@pytest.mark.django_db
def test_a_model_instance_travels_as_a_reference() -> None:
    """An instance becomes a ModelRef of its model, key and text, and `get` loads it."""
    group = Group.objects.create(name="signallers")
    found = round_trip({"group": group})["group"]
    assert found == ModelRef("auth.group", group.pk, "signallers")
    assert found.text == "signallers"
    assert found.get() == group


@pytest.mark.parametrize(
    "payload",
    [
        {"$decimal": "1"},
        {"$": 1},
        {"$$": 1},
        {"$$decimal": "1"},
        {"$unknown": None},
        {"value": {"$uuid": "no uuid"}},
        {"value": [{"$ref": ["auth.user", 1, ""]}]},
        {"value": {"$enum": ["os:system", "true"]}},
        {"$set": [1], "other": 2},
        {"value": "$decimal"},
    ],
    ids=repr,
)
def test_what_looks_like_a_tag_is_only_data(payload: dict[str, Any]) -> None:
    """A payload cannot pass for one of the engine's own type tags."""
    assert round_trip(payload) == payload


def test_the_text_is_json() -> None:
    """What is stored is plain JSON that other tools can read."""
    text = encode({"a": Decimal("1.0"), "b": [1]}, signal="test.signal", limit=LIMIT)
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        object,
        len,
        1j,
        range(3),
        iter([1]),
        bytearray(b"x"),
        MappingProxyType({"a": 1}),
        ValueError("no"),
        Group(name="never saved"),
        float("nan"),
        float("inf"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_by_signal_and_key(value: Any) -> None:
    """What an event cannot carry raises EventPayloadError that names the signal and the key."""
    with pytest.raises(EventPayloadError, match=r"order\.paid.*'lines\.1\.thing'") as caught:
        encode({"lines": [0, {"thing": value}]}, signal="order.paid", limit=LIMIT)
    assert caught.value.details == {"signal": "order.paid", "key": "lines.1.thing"}


@pytest.mark.parametrize("key", [1, None, ("a",), 1.5, b"a"], ids=repr)
def test_keys_are_strings(key: Any) -> None:
    """A key of another type is refused, since JSON would change it."""
    with pytest.raises(EventPayloadError, match="keys must be strings"):
        round_trip({"value": {key: 1}})


def test_an_enum_that_cannot_be_found_again_is_refused() -> None:
    """An Enum defined inside a function could not be loaded by a worker."""

    class Local(Enum):
        ONE = 1

    with pytest.raises(EventPayloadError, match=r"test\.signal.*'value'.*Local"):
        round_trip({"value": Local.ONE})


def test_a_model_whose_text_fails_is_refused() -> None:
    """An error in a model's own __str__ names the key and does not come out raw."""

    class Broken(Group):
        class Meta:
            proxy = True
            app_label = "tests_payload"

        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(EventPayloadError, match="'who'"):
        round_trip({"who": Broken(pk=1)})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"a": {"$decimal": "x"}}',
        '{"a": {"$decimal": []}}',
        '{"a": {"$nothing": 1}}',
        '{"a": {"$enum": []}}',
        '{"a": {"$enum": [1, 2]}}',
        '{"a": {"$enum": ["no.such.module:X", 1]}}',
        '{"a": {"$enum": ["os:path", 1]}}',
        '{"a": {"$ref": ["x"]}}',
        '{"a": {"$set": [[1]]}}',
        '{"a": {"$int": "zz"}}',
        '{"a": {"$bytes": "!"}}',
        '{"a": {"$timedelta": ["x"]}}',
    ],
)
def test_a_damaged_text_is_a_payload_error(text: str) -> None:
    """What cannot be read raises the engine's own error, whatever is wrong with it."""
    with pytest.raises(EventPayloadError):
        decode(text)
