"""The fixtures that users of the engine get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.events import Event, EventSignal, SignalRegistry, registry
from core.events.models import EventRecord

from .support import committing, record_route

pytest_plugins = ["core.events.pytest_plugin"]

Deliver = Callable[..., dict[str, dict[str, int]]]


@pytest.fixture
def paid() -> EventSignal:
    """A signal."""
    return EventSignal("order.paid")


def test_captured_events_need_no_database(paid: EventSignal, captured_events: list[Event]) -> None:
    """Events are in the list and not recorded, so a test without a database can fire them."""
    paid.send(None, n=1)
    assert [(event.name, event.data) for event in captured_events] == [("order.paid", {"n": 1})]


def test_deliver_pending_brings_the_database(paid: EventSignal, deliver_pending: Deliver) -> None:
    """The function delivers what is due; `include_scheduled` takes what waits as well."""
    calls = record_route(paid)
    paid.send(None)

    def fail(events: object) -> None:
        raise ValueError

    calls.behave = fail
    assert deliver_pending() == {"route": {"failed": 1}}
    calls.behave = lambda events: None
    assert deliver_pending(include_scheduled=True) == {"route": {"done": 1}}


def test_dead_deliveries_are_collected(
    paid: EventSignal, deliver_pending: Deliver, dead_deliveries: list[dict[str, Any]]
) -> None:
    """Each delivery that died is in the list, with its route, event and error."""
    calls = record_route(paid, max_attempts=1)

    def fail(events: object) -> None:
        raise ValueError("no")

    calls.behave = fail
    paid.send(None)
    deliver_pending()
    (dead,) = dead_deliveries
    assert (dead["route"], dead["event"].name) == ("route", "order.paid")
    assert dead["error"] == "ValueError: no"
    assert dead["delivery_id"].startswith(str(dead["event"].id))


@pytest.mark.django_db
def test_muted_events_are_not_recorded(paid: EventSignal, muted_events: None) -> None:
    """Nothing is recorded, while receivers run."""
    received = []
    paid.connect(lambda **arguments: received.append(arguments["n"]), weak=False)
    paid.send(None, n=1)
    assert received == [1]
    assert not EventRecord.objects.exists()


@pytest.fixture
def leftovers() -> Any:
    """Look, after the fixtures of the test are gone, at which routes are left."""
    record_route("*", name="before")
    yield
    assert [route.name for route in registry.routes()] == ["before"]


def test_temporary_routes_are_removed(leftovers: None, temporary_routes: SignalRegistry) -> None:
    """Routes that the test adds are gone after it; the others stay."""
    temporary_routes.route("order.*", name="during")(print)
    assert {route.name for route in registry.routes()} == {"before", "during"}


@committing
def test_wakeups_are_noted_and_not_sent(paid: EventSignal, wakeups: list[set[str]]) -> None:
    """The queues that would be woken are in the list."""
    record_route(paid, queue="audit")
    paid.send(None)
    assert wakeups == [{"audit"}]
