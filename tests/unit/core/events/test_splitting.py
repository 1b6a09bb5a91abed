"""Splitting: one poison event never holds up its neighbours, and an outage charges nobody."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from core.events import Event, EventSignal, deliver_pending, registry
from core.events.state import State
from tests.unit.core.events.support import (
    Recorder,
    deliveries,
    only_delivery,
    record_route,
    rounds,
    settled,
)

pytestmark = pytest.mark.django_db
both = pytest.mark.parametrize("atomic", [False, True], ids=["plain", "atomic"])


def poisoned(*numbers: int, **options: Any) -> Recorder:
    """Return a route of batches that fail when one of these events is in them."""
    recorder = record_route("order.*", **{"batch_size": 16} | options)

    def behave(events: list[Event]) -> None:
        for event in events:
            if event.data["n"] in numbers:
                raise ValueError(f"poison {event.data['n']}")

    recorder.behave = behave
    return recorder


def fire(number: int) -> EventSignal:
    """Fire so many events."""
    signal = EventSignal("order.paid")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])
    return signal


@both
def test_only_the_poison_is_charged(atomic: bool) -> None:
    """A failed batch is split at once, inside the claim, down to the event that fails alone."""
    recorder = poisoned(5, atomic=atomic)
    fire(16)
    assert deliver_pending() == {"route": {"done": 15, "failed": 1}}
    delivery = only_delivery()
    assert (delivery.failures, delivery.error) == (1, "ValueError: poison 5")
    assert settled() == {"done": 15}
    assert [5] in recorder.batches()


@both
def test_neighbours_are_settled_at_the_first_delivery(atomic: bool) -> None:
    """They never wait for the poison's backoff."""
    poisoned(0, 15, atomic=atomic)
    fire(16)
    deliver_pending()
    assert settled() == {"done": 14}


@both
def test_splitting_adds_no_attempts(atomic: bool) -> None:
    """`attempt` counts handlings of a delivery, however often the batch was cut."""
    recorder = poisoned(3, atomic=atomic)
    fire(8)
    deliver_pending()
    assert {event.attempt for event in recorder.events} == {1}
    assert only_delivery().attempts == 1


@both
def test_poison_dies_of_its_own_failures(atomic: bool) -> None:
    """After `max_attempts` of its own it is dead, and no neighbour ever was charged."""
    poisoned(3, atomic=atomic, max_attempts=3)
    fire(8)
    rounds(3)
    delivery = only_delivery()
    assert (delivery.state, delivery.failures) == (State.DEAD, 3)
    assert settled() == {"done": 7}


def test_a_call_does_not_see_what_a_failed_one_did_to_the_payload() -> None:
    """Each call gets the event as it was recorded."""
    calls: list[list[int]] = []

    @registry.route("order.*", name="popping", batch_size=4)
    def pop(events: list[Event]) -> None:
        calls.append([event.data.pop("n") for event in events])
        if len(events) > 1:
            raise ValueError

    fire(4)
    assert deliver_pending() == {"popping": {"done": 4}}
    assert sorted(call[0] for call in calls if len(call) == 1) == [0, 1, 2, 3]


def test_three_lone_failures_in_a_row_are_an_outage() -> None:
    """After three without a success the rest go back uncharged, with backoff."""
    recorder = poisoned(*range(16))
    fire(16)
    assert deliver_pending() == {"route": {"failed": 3, "released": 13}}
    assert sum(len(call) == 1 for call in recorder.calls) == 3
    assert sorted(delivery.failures for delivery in deliveries()) == [0] * 13 + [1] * 3
    assert {delivery.state for delivery in deliveries()} == {State.WAITING}
    assert {delivery.attempts for delivery in deliveries()} == {1}


def test_an_outage_that_ends_leaves_nobody_behind() -> None:
    """All of them are done once the handler works again."""
    recorder = poisoned(*range(40), max_attempts=5)
    fire(40)
    rounds(3)
    recorder.behave = lambda events: None
    rounds(1)
    assert deliveries() == []
    assert settled() == {"done": 40}


def test_a_success_in_between_ends_the_count() -> None:
    """Poison that is scattered among good events is no outage."""
    poisoned(0, 2, 4, 6, 8, 10)
    fire(12)
    assert deliver_pending() == {"route": {"done": 6, "failed": 6}}


def database_error(kind: type[DatabaseError], state: str | None) -> DatabaseError:
    """Return an error as the database of these tests raises it."""
    error = kind("database")
    if connection.vendor == "sqlite":
        import sqlite3

        cause: Exception = sqlite3.OperationalError("database is locked")
        cause.sqlite_errorcode = sqlite3.SQLITE_BUSY  # type: ignore[attr-defined] # as sqlite3 does
    else:
        import psycopg

        cause = psycopg.errors.lookup(state)("x") if state else psycopg.OperationalError("x")
    error.__cause__ = cause
    return error


@both
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (OperationalError, "40P01"),
        (OperationalError, "40001"),
        (OperationalError, "57P01"),
        (OperationalError, "08006"),
        (OperationalError, None),
    ],
    ids=["deadlock", "serialisation", "shutdown", "connection", "lost"],
)
def test_the_databases_bad_moments_charge_nobody(
    kind: type[DatabaseError], state: str | None, batch_size: int, atomic: bool
) -> None:
    """Lost connections, deadlocks and serialisation failures release uncharged."""
    recorder = record_route("order.*", batch_size=batch_size, atomic=atomic, max_attempts=1)
    recorder.behave = lambda events: (_ for _ in ()).throw(database_error(kind, state))
    fire(8)
    assert deliver_pending() == {"route": {"released": 8}}
    assert {delivery.failures for delivery in deliveries()} == {0}
    assert len(recorder.calls) == 8 / batch_size
    recorder.behave = lambda events: None
    rounds(1)
    assert deliveries() == []


def test_a_lost_connection_is_a_bad_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An InterfaceError on a connection that does not answer says that it is gone."""
    monkeypatch.setattr(connection, "is_usable", lambda: False)
    record_route("order.*", max_attempts=1).behave = lambda events: (_ for _ in ()).throw(
        InterfaceError("connection already closed")
    )
    fire(1)
    assert deliver_pending() == {"route": {"released": 1}}


def test_a_misused_connection_is_a_failure() -> None:
    """An InterfaceError on a connection that works is the handler's own doing."""
    record_route("order.*", max_attempts=1).behave = lambda events: (_ for _ in ()).throw(
        InterfaceError("cursor already closed")
    )
    fire(1)
    assert deliver_pending() == {"route": {"dead": 1}}


@pytest.mark.postgres
@pytest.mark.parametrize("state", ["57014", "23505", "42P01", "22P02", "25P02"])
def test_the_statements_own_errors_are_failures(state: str) -> None:
    """A statement that is wrong, collides or is cancelled for its time is a failure as any."""
    import psycopg

    error = OperationalError("x")
    error.__cause__ = psycopg.errors.lookup(state)("x")
    record_route("order.*").behave = lambda events: (_ for _ in ()).throw(error)
    fire(1)
    assert deliver_pending() == {"route": {"failed": 1}}
