"""Atomic routes: handler and settlement are one transaction, so effects happen exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from core.events import Event, EventSignal, deliver_pending, registry
from core.events.models import Delivery, EventRecord
from core.events.state import State
from tests.unit.core.events.support import (
    Effects,
    committing,
    deliveries,
    only_delivery,
    record_route,
    rounds,
    settled,
)

pytestmark = committing


@pytest.fixture
def signal() -> EventSignal:
    """A signal to fire."""
    return EventSignal("order.paid")


def in_another_connection(do: Callable[[], Any]) -> None:
    """Do something outside this thread's transaction."""

    def run() -> None:
        do()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_effects_and_settlement_come_together(signal: EventSignal, effects: Effects) -> None:
    """When a handler returns, its effects are committed with the settlement."""

    def behave(events: list[Event]) -> None:
        assert connection.in_atomic_block
        effects.add(events[0].data["n"])

    record_route("order.*", atomic=True).behave = behave
    signal.send(sender=None, n=1)
    deliver_pending()
    assert effects.all() == ["1"]
    assert settled() == {"done": 1}
    assert deliveries() == []


def test_a_failure_undoes_every_effect(signal: EventSignal, effects: Effects) -> None:
    """What a handler wrote before it failed has not happened, and is not there twice later."""

    def behave(events: list[Event]) -> None:
        effects.add(events[0].attempt)
        if events[0].attempt == 1:
            raise ValueError

    record_route("order.*", atomic=True).behave = behave
    signal.send(sender=None)
    assert deliver_pending() == {"route": {"failed": 1}}
    assert effects.all() == []
    rounds(1)
    assert effects.all() == ["2"]


def test_an_error_at_commit_is_that_calls_failure(signal: EventSignal, effects: Effects) -> None:
    """A deferred constraint speaks at COMMIT: the batch is split and only its culprit charged."""

    def behave(events: list[Event]) -> None:
        for event in events:
            effects.add(event.data["n"], parent=404 if event.data["n"] == 3 else None)

    record_route("order.*", atomic=True, batch_size=8).behave = behave
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(8)])
    assert deliver_pending() == {"route": {"done": 7, "failed": 1}}
    assert sorted(effects.all()) == ["0", "1", "2", "4", "5", "6", "7"]
    delivery = only_delivery()
    assert "IntegrityError" in (delivery.error or "")
    assert settled() == {"done": 7}


def test_each_call_is_a_transaction_of_its_own(signal: EventSignal, effects: Effects) -> None:
    """Two routes, and two batches of one route, do not share a fate."""

    def behave(events: list[Event]) -> None:
        for event in events:
            effects.add(event.data["n"], parent=404)

    record_route("order.*", name="bad", atomic=True, batch_size=4).behave = behave
    record_route("order.*", name="good", atomic=True, batch_size=4).behave = lambda events: [
        effects.add(f"good {event.data['n']}") for event in events
    ]
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(8)])
    counts = deliver_pending()
    assert counts["good"] == {"done": 8}
    assert effects.all() == [f"good {n}" for n in range(8)]


def test_a_constraint_caught_inside_the_handler_is_its_own_affair(
    signal: EventSignal, effects: Effects
) -> None:
    """A savepoint of the handler's own may fail and be passed over."""

    def behave(events: list[Event]) -> None:
        effects.add("first")
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("INSERT INTO test_effects (what) VALUES (NULL)")
        except Exception:
            effects.add("second")

    record_route("order.*", atomic=True).behave = behave
    signal.send(sender=None)
    assert deliver_pending() == {"route": {"done": 1}}
    assert effects.all() == ["first", "second"]


def steal(*numbers: int) -> None:
    """Let another worker hold the deliveries of these events."""
    keys = [str(number) for number in numbers]
    Delivery.objects.filter(event__key__in=keys, state=State.LEASED).update(token=1)


def test_rows_that_were_lost_are_left_out_and_the_rest_is_handled(effects: Effects) -> None:
    """Settlement must hit every named row, else all is undone and only what is held done again."""
    signal = EventSignal("order.paid", key="n")
    calls: list[list[int]] = []

    @registry.route("order.*", name="thief", batch_size=100)
    def take(events: list[Event]) -> None:
        mine = Delivery.objects.filter(route="careful", event__key__in=["1", "4"])
        mine.filter(state=State.LEASED).update(token=1)

    @registry.route("order.*", name="careful", atomic=True, batch_size=5)
    def write(events: list[Event]) -> None:
        calls.append([event.data["n"] for event in events])
        for event in events:
            effects.add(event.data["n"])

    signal.send_many(sender=None, payloads=[{"n": n} for n in range(6)])
    assert deliver_pending()["careful"] == {"done": 4}
    assert sorted(effects.all()) == ["0", "2", "3", "5"]
    assert [delivery.token for delivery in deliveries()] == [1, 1]
    assert calls[0] == [0, 1, 2, 3, 4]


@pytest.mark.postgres
def test_a_worker_that_lost_its_lease_cannot_settle(effects: Effects) -> None:
    """Its effects are undone at the end of the call; those of the new holder count."""
    signal = EventSignal("order.paid", key="n")

    def behave(events: list[Event]) -> None:
        effects.add("late")
        in_another_connection(lambda: steal(1))

    record_route("order.*", atomic=True).behave = behave
    signal.send(sender=None, n=1)
    assert deliver_pending() == {}
    assert effects.all() == []
    delivery = only_delivery()
    assert (delivery.state, delivery.token, delivery.failures) == (State.LEASED, 1, 0)


def fail_at_commit(monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """Let the connection break at the next COMMIT of a handler, before or after it took effect."""
    commit, broken = connection._commit, []

    def breaking() -> None:
        if broken or not calling:
            commit()
            return
        broken.append(True)
        if after:
            commit()
        raise OperationalError("the connection broke at COMMIT")

    calling: list[bool] = []
    monkeypatch.setattr(connection, "_commit", breaking)
    monkeypatch.setattr(connection, "calling", calling, raising=False)


@pytest.mark.postgres
@pytest.mark.parametrize("after", [True, False], ids=["committed", "not committed"])
def test_a_commit_whose_outcome_is_unknown(
    signal: EventSignal, effects: Effects, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """The delivery rows themselves tell what became of it: one effect each, either way."""
    fail_at_commit(monkeypatch, after=after)

    def behave(events: list[Event]) -> None:
        connection.calling.append(True)  # type: ignore[attr-defined] # set by fail_at_commit
        for event in events:
            effects.add(event.data["n"])

    record_route("order.*", atomic=True, batch_size=5).behave = behave
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(3)])
    deliver_pending()
    rounds(2)
    assert sorted(effects.all()) == ["0", "1", "2"]
    assert deliveries() == []
    assert settled() == {"done": 3}


def test_events_fired_by_an_atomic_handler_belong_to_it(signal: EventSignal) -> None:
    """They are there if and only if it succeeded, once."""
    child = EventSignal("child.fired")

    def behave(events: list[Event]) -> None:
        child.send(sender=None)
        if events[0].attempt < 3:
            raise ValueError

    record_route("order.*", atomic=True).behave = behave
    children = record_route("child.*", name="children")
    signal.send(sender=None)
    rounds(2)
    assert EventRecord.objects.filter(name="child.fired").count() == 0
    rounds(2)
    assert len(children.events) == 1


def test_a_handler_that_is_not_atomic_and_is_repeated_fires_again(signal: EventSignal) -> None:
    """Its events have new ids each time: handlers that fire should be atomic."""
    child = EventSignal("child.fired")

    def behave(events: list[Event]) -> None:
        child.send(sender=None)
        if events[0].attempt < 3:
            raise ValueError

    record_route("order.*").behave = behave
    children = record_route("child.*", name="children")
    signal.send(sender=None)
    rounds(4)
    assert len({event.id for event in children.events}) == 3


def test_no_transaction_is_open_while_another_handler_works(signal: EventSignal) -> None:
    """A handler that talks to the world holds no lock and no snapshot meanwhile."""
    open_transactions: list[bool] = []
    record_route("order.*").behave = lambda events: open_transactions.append(
        connection.in_atomic_block
    )
    signal.send(sender=None)
    deliver_pending()
    assert open_transactions == [False]
