"""PartialFailure: some events of a batch failed, the rest are done."""

from __future__ import annotations

from typing import Any

import pytest

from core.events import Event, EventSignal, PartialFailure, deliver_pending
from core.events.state import State
from tests.unit.core.events.support import (
    deliveries,
    only_delivery,
    record_route,
    rounds,
    settled,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def signal() -> EventSignal:
    """A signal to fire."""
    return EventSignal("order.paid", key="key")


def fail_some(*numbers: int, text: str = "no") -> Any:
    """Return a behaviour that reports these as failed, the rest as done."""

    def behave(events: list[Event]) -> None:
        failed = {event.id: ValueError(text) for event in events if event.data["n"] in numbers}
        if failed:
            raise PartialFailure(failed)

    return behave


@pytest.mark.parametrize("atomic", [False, True])
def test_partial_failure_fails_some_and_settles_the_rest(signal: EventSignal, atomic: bool) -> None:
    """Those that are named fail, each with its error; the rest are done."""
    record_route("order.*", batch_size=10, atomic=atomic).behave = fail_some(1, 3)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(5)])
    assert deliver_pending() == {"route": {"done": 3, "failed": 2}}
    assert [delivery.failures for delivery in deliveries()] == [1, 1]
    assert {delivery.error for delivery in deliveries()} == {"ValueError: no"}
    assert settled() == {"done": 3}


def test_partial_failure_does_not_call_again_for_the_rest(signal: EventSignal) -> None:
    """On a route that is not atomic the others have happened."""
    recorder = record_route("order.*", batch_size=10)
    recorder.behave = fail_some(1)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(3)])
    deliver_pending()
    assert recorder.batches() == [[0, 1, 2]]


def test_partial_failure_on_an_atomic_route_handles_the_rest_again(signal: EventSignal) -> None:
    """Its transaction was rolled back, so the rest happen again without the failed."""
    recorder = record_route("order.*", batch_size=10, atomic=True)
    recorder.behave = fail_some(1)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(3)])
    deliver_pending()
    assert recorder.batches() == [[0, 1, 2], [0, 2]]


def test_partial_failure_counts_towards_death(signal: EventSignal) -> None:
    """Whoever is named often enough is dead, with the text given."""
    recorder = record_route("order.*", batch_size=10, max_attempts=2)
    recorder.behave = lambda events: (_ for _ in ()).throw(
        PartialFailure({str(events[0].id): "refused by the provider"})
    )
    signal.send(sender=None, n=1)
    rounds(2)
    delivery = only_delivery()
    assert (delivery.state, delivery.error) == (State.DEAD, "refused by the provider")


@pytest.mark.parametrize("errors", [{}, {"0190b7a2-0000-7000-8000-000000000001": "stranger"}])
def test_a_partial_failure_that_names_nobody_here_is_a_failure(
    signal: EventSignal, errors: dict[str, str]
) -> None:
    """Nothing is taken for done on the word of a handler that is mistaken."""

    def behave(events: list[Event]) -> None:
        raise PartialFailure(errors)

    record_route("order.*", batch_size=10).behave = behave
    signal.send_many(sender=None, payloads=[{"n": 1}, {"n": 2}])
    assert deliver_pending() == {"route": {"failed": 2}}
    assert "PartialFailure" in (deliveries()[0].error or "")


def test_an_event_that_a_coalesced_one_replaced_cannot_be_named(signal: EventSignal) -> None:
    """The handler never saw it; its fate is that of the newest of its key."""
    ids: list[Any] = []

    def behave(events: list[Event]) -> None:
        ids.extend(event.id for event in events)
        raise PartialFailure({events[0].id: "no"})

    record_route("order.*", batch_size=10, coalesce=True).behave = behave
    signal.send_many(sender=None, payloads=[{"key": "a", "n": n} for n in range(3)])
    assert deliver_pending() == {"route": {"failed": 3}}
    assert len(ids) == 1
    assert {delivery.error for delivery in deliveries()} == {"no"}
