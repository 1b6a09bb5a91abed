"""Which events a route takes: names, globs, sender and `when`."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from core.events import Event, EventSignal, deliver_pending, registry
from tests.unit.core.events.support import deliveries, record_route

pytestmark = pytest.mark.django_db


def names_taken(pattern: str, *names: str) -> list[str]:
    """Return which of these event names a pattern takes."""
    record_route(pattern)
    return [name for name in names if registry.routes(name)]


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("*", ["order.paid", "order.line.added", "Order.paid"]),
        ("order.*", ["order.paid", "order.line.added"]),
        ("order.paid", ["order.paid"]),
        ("*.paid", ["order.paid", "Order.paid"]),
        ("[oO]rder.p?id", ["order.paid", "Order.paid"]),
        ("ORDER.*", []),
    ],
)
def test_globs_are_those_of_fnmatchcase(pattern: str, taken: list[str]) -> None:
    """A glob spans dots and minds upper and lower case."""
    assert names_taken(pattern, "order.paid", "order.line.added", "Order.paid") == taken


def test_several_patterns_that_match_make_one_delivery() -> None:
    """A route gets an event once, however many of its patterns match."""
    signal = EventSignal("order.paid")
    recorder = record_route(signal, "order.*", "*")
    signal.send(sender=None)
    assert len(deliveries()) == 1
    deliver_pending()
    assert len(recorder.events) == 1


def test_a_route_added_later_takes_what_is_fired_later() -> None:
    """What is remembered of a match does not outlive a change of the table."""
    signal = EventSignal("order.paid")
    signal.send(sender=None)
    record_route("order.*")
    signal.send(sender=None)
    assert len(deliveries()) == 1
    registry.unroute("route")
    signal.send(sender=None)
    assert len(deliveries()) == 1


def test_sender_narrows_to_events_of_a_model() -> None:
    """Only events of this model make a delivery."""
    recorder = record_route("*", sender=Group)
    signal = EventSignal("order.paid")
    for sender in (Group, User, None, Group(name="g"), "auth.group"):
        signal.send(sender=sender)
    deliver_pending()
    assert [event.sender for event in recorder.events] == ["auth.group"] * 3


@pytest.mark.parametrize("sender", ["auth.group", "auth.Group"])
def test_sender_may_be_a_label(sender: str) -> None:
    """A model is named as Django names it, in either spelling."""
    recorder = record_route("*", sender=sender)
    EventSignal("order.paid").send(sender=Group)
    deliver_pending()
    assert len(recorder.events) == 1


def test_when_decides_at_firing() -> None:
    """`when` sees the event as it is fired, and its answer then is the one that counts."""
    wanted = {"yes": True}
    seen: list[Event] = []

    def when(event: Event) -> bool:
        seen.append(event)
        return wanted["yes"] and event.data["n"] > 1

    recorder = record_route("*", when=when)
    signal = EventSignal("order.paid", key="n")
    signal.send_many(sender=Group, payloads=[{"n": 1}, {"n": 2}])
    wanted["yes"] = False
    deliver_pending()
    assert recorder.values() == [2]
    assert [event.key for event in seen] == ["1", "2"]
    assert {event.sender for event in seen} == {"auth.group"}


def test_when_sees_the_payload_as_handlers_do() -> None:
    """A tuple is a list and a model a reference, as it will be in the handler."""
    seen: list[Any] = []
    record_route("*", when=lambda event: seen.append(event.data) or True)
    EventSignal("order.paid").send(sender=None, pair=(1, 2), group=Group(pk=1, name="g"))
    assert seen[0]["pair"] == [1, 2]
    assert str(seen[0]["group"]) == "auth.group:1"


def test_an_error_in_when_is_logged_and_counts_as_true(caplog: pytest.LogCaptureFixture) -> None:
    """An effect too many is better than one that is missing; the caller hears nothing."""

    def when(event: Event) -> bool:
        raise KeyError("secret-value")

    recorder = record_route("*", when=when, name="shop.receipt")
    with caplog.at_level(logging.ERROR):
        EventSignal("order.paid", sensitive={"phone"}).send(sender=None, phone="secret-value")
    deliver_pending()
    assert len(recorder.events) == 1
    assert "shop.receipt" in caplog.text
    assert "KeyError" in caplog.text
    assert "secret-value" not in caplog.text


def test_when_of_one_route_does_not_touch_the_others() -> None:
    """Routes are independent at firing, too."""
    record_route("*", when=lambda event: False, name="closed")
    record_route("*", name="open")
    EventSignal("order.paid").send(sender=None)
    assert [delivery.route for delivery in deliveries()] == ["open"]


def test_a_truthy_answer_counts_as_true() -> None:
    """`when` need not return exactly True."""
    record_route("*", when=lambda event: event.data.get("tags"), name="tagged")
    signal = EventSignal("order.paid")
    signal.send(sender=None, tags=["a"])
    signal.send(sender=None, tags=[])
    assert len(deliveries()) == 1
