"""A signal's schema: a dataclass that describes the payload."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group

from core.events import EventPayloadError, EventSignal, InvalidSignal, ModelRef, capture_events


@dataclass
class Paid:
    """What `order.paid` carries."""

    order: int
    amount: Decimal
    lines: list[int] = field(default_factory=list)
    prices: dict[str, Decimal] = field(default_factory=dict)
    note: str | None = None
    group: ModelRef | None = None


def send(**payload: Any) -> dict[str, Any]:
    """Return the data of the event that this payload becomes."""
    signal = EventSignal("order.paid", schema=Paid)
    with capture_events() as events:
        signal.send(sender=None, **payload)
    return events[0].data


def test_a_payload_that_fits_is_completed_with_defaults() -> None:
    """What the schema has a default for may be left out."""
    assert send(order=1, amount=Decimal("2.50")) == {
        "order": 1,
        "amount": Decimal("2.50"),
        "lines": [],
        "prices": {},
        "note": None,
        "group": None,
    }


def test_a_model_instance_fits_where_a_reference_is_wanted() -> None:
    """The schema describes what handlers get."""
    assert send(order=1, amount=Decimal(1), group=Group(pk=3, name="g"))["group"] == ModelRef(
        "auth.group", 3
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"amount": "2.50"}, "'amount'"),
        ({"order": None}, "'order'"),
        ({"order": UUID(int=1)}, "'order'"),
        ({"lines": [1, "two"]}, "'lines'"),
        ({"lines": [*range(500), "two", *range(500)]}, "'lines'"),
        ({"prices": {**{str(n): Decimal(n) for n in range(100)}, "x": 1.5}}, "'prices'"),
        ({"surplus": 1}, "'surplus'"),
        ({"note": b"bytes"}, "'note'"),
    ],
    ids=["type", "none", "uuid", "item", "one of many", "one value of many", "unknown", "union"],
)
def test_a_schema_problem_is_a_payload_error(change: dict[str, Any], named: str) -> None:
    """The error names the signal and the field, every time, however many items there are."""
    for _ in range(20):
        with pytest.raises(EventPayloadError, match=rf"order\.paid.*{named}"):
            send(**{"order": 1, "amount": Decimal(1)} | change)


def test_a_missing_field_is_named() -> None:
    """A field without a default has to be there."""
    with pytest.raises(EventPayloadError, match=r"order\.paid.*'amount'.*missing"):
        send(order=1)


def test_send_many_checks_every_payload_before_recording_any() -> None:
    """One bad payload among many records none of them."""
    signal = EventSignal("order.paid", schema=Paid)
    good, bad = {"order": 1, "amount": Decimal(1)}, {"order": 1}
    with capture_events() as events, pytest.raises(EventPayloadError):
        signal.send_many(sender=None, payloads=[good, bad])
    assert events == []


@pytest.mark.parametrize("schema", [dict, "Paid", Paid(1, Decimal(1)), 5])
def test_a_schema_is_a_dataclass(schema: Any) -> None:
    """Anything else is refused when the signal is declared."""
    with pytest.raises(InvalidSignal, match=r"order\.paid.*dataclass"):
        EventSignal("order.paid", schema=schema)
