"""A worker is killed at any instant: what is promised to which route."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal as signals
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest
from django.db import connection, connections

from core.events import Event, EventSignal
from core.events.models import Delivery, EventRecord
from core.events.state import State
from core.events.sweep import reclaim
from tests.unit.core.events.support import (
    DEADLINE,
    Effects,
    committing,
    deliveries,
    drain,
    expire_leases,
    join,
    kill,
    let_workers_die,
    only_delivery,
    processes,
    record_route,
    settled,
    wait_until,
)
from tests.unit.core.events.wiring import fresh_wiring

pytestmark = committing


@pytest.fixture(autouse=True)
def wiring() -> Iterator[None]:
    """No route but the test's own."""
    with fresh_wiring():
        yield


@pytest.fixture
def effects(db: None) -> Iterator[Effects]:
    """A table for what handlers do in the engine's database."""
    table = Effects()
    yield table
    table.drop()


class Gate:
    """Where a handler waits, in a worker that is about to be killed."""

    def __init__(self) -> None:
        self.reached = multiprocessing.get_context("fork").Event()
        self.closed_for = 1

    def __call__(self, event: Event) -> None:
        if event.attempt == self.closed_for:
            self.reached.set()
            threading.Event().wait(DEADLINE)


def fire(number: int) -> None:
    """Fire so many events."""
    signal = EventSignal("order.paid", key="n")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


def kill_in_the_handler(gate: Gate) -> None:
    """Start a worker and kill it once its handler has come to the gate."""
    with processes(1, lambda index: drain()) as (worker,):
        assert gate.reached.wait(DEADLINE)
        kill(worker)
    gate.reached.clear()


def test_an_atomic_effect_of_a_killed_worker_happens_once(effects: Effects) -> None:
    """What it had written is undone with it, and done by the next one."""
    gate = Gate()

    def behave(events: list[Event]) -> None:
        for event in events:
            effects.add(event.data["n"])
        gate(events[-1])

    record_route("order.*", atomic=True, batch_size=5).behave = behave
    fire(5)
    kill_in_the_handler(gate)
    assert effects.all() == []
    assert {delivery.state for delivery in deliveries()} == {State.LEASED}
    let_workers_die()
    drain()
    assert sorted(effects.all()) == ["0", "1", "2", "3", "4"]
    assert settled() == {"done": 5}


def test_another_route_gets_it_again_with_the_same_delivery_id(effects: Effects) -> None:
    """At least once: the outside world can tell that it is the same delivery."""
    gate = Gate()

    def behave(events: list[Event]) -> None:
        effects.add(events[0].delivery_id)
        gate(events[0])

    record_route("order.*").behave = behave
    fire(1)
    kill_in_the_handler(gate)
    let_workers_die()
    drain()
    assert len(effects.all()) == 2
    assert len(set(effects.all())) == 1


def test_an_at_most_once_route_never_gets_it_again(effects: Effects) -> None:
    """It is dead with an unknown outcome, and the others of the claim are not."""
    gate = Gate()

    def behave(events: list[Event]) -> None:
        effects.add(events[0].data["n"])
        if events[0].data["n"] == 1:
            gate(events[0])

    record_route("order.*", at_most_once=True).behave = behave
    fire(4)
    kill_in_the_handler(gate)
    let_workers_die()
    drain()
    assert sorted(effects.all()) == ["0", "1", "2", "3"]
    delivery = only_delivery()
    assert delivery.state == State.DEAD
    assert "outcome unknown" in (delivery.error or "")


def test_an_event_that_kills_its_worker_ends_dead(effects: Effects) -> None:
    """Not in a crash loop; its neighbours are all done, once."""

    def behave(events: list[Event]) -> None:
        for event in events:
            effects.add(event.data["n"])
            if event.data["n"] == 3:
                os.kill(os.getpid(), signals.SIGKILL)

    record_route("order.*", atomic=True, batch_size=8, max_attempts=2).behave = behave
    fire(8)
    deaths = 0
    while Delivery.objects.exclude(state=State.DEAD).exists():
        with processes(1, lambda index: drain()) as (worker,):
            worker.join(DEADLINE)
        deaths += worker.exitcode == -signals.SIGKILL
        assert deaths < 10, "a crash loop"
        let_workers_die()
        Delivery.objects.filter(state=State.WAITING).update(due_at="2000-01-01T00:00Z")
    assert deaths == 3
    assert Counter(effects.all()) == Counter(str(n) for n in range(8) if n != 3)
    delivery = only_delivery()
    assert (delivery.state, delivery.failures) == (State.DEAD, 2)


def test_workers_killed_at_random_moments_lose_and_double_nothing(effects: Effects) -> None:
    """Ten times in the middle of whatever they were at."""

    def behave(events: list[Event]) -> None:
        for event in events:
            effects.add(event.data["n"])

    record_route("order.*", atomic=True, batch_size=5).behave = behave
    record_route("order.*", name="ordered", atomic=True, ordered=True)
    fire(600)
    dice = random.Random(4711)
    for _ in range(10):
        with processes(2, lambda index: drain()) as workers:
            before = Delivery.objects.count()
            pause = dice.uniform(0, 0.05)
            wait_until(lambda b=before: Delivery.objects.count() < b or not b)
            threading.Event().wait(pause)
            for worker in workers:
                kill(worker)
        let_workers_die()
    with processes(2, lambda index: drain()) as workers:
        join(workers)
    assert Counter(effects.all()) == Counter(str(n) for n in range(600))
    assert settled("ordered") == {"done": 600}


def test_a_process_killed_right_after_its_commit_loses_no_event() -> None:
    """The event is in the database; who was to wake somebody is not missed."""
    recorder = record_route("order.*")
    signal = EventSignal("order.paid")

    def fire_and_die(index: int) -> None:
        signal.send(sender=None, n=1)
        os.kill(os.getpid(), signals.SIGKILL)

    with processes(1, fire_and_die) as (process,):
        process.join(DEADLINE)
    assert process.exitcode == -signals.SIGKILL
    drain()
    assert recorder.values() == [1]


def test_a_process_killed_before_its_commit_leaves_no_event() -> None:
    """As if it had never been fired."""
    from django.db import transaction

    record_route("order.*")
    signal = EventSignal("order.paid")

    def fire_and_die(index: int) -> None:
        with transaction.atomic():
            signal.send(sender=None, n=1)
            os.kill(os.getpid(), signals.SIGKILL)

    with processes(1, fire_and_die) as (process,):
        process.join(DEADLINE)
    assert EventRecord.objects.count() == 0
    assert deliveries() == []


def test_a_worker_that_was_stopped_too_long_cannot_settle(effects: Effects) -> None:
    """Its lease ran out and another did the work; when it goes on, its word does not count."""
    gate = Gate()

    def behave(events: list[Event]) -> None:
        if events[0].attempt == 1:
            gate.reached.set()
            proceed.wait(DEADLINE)
        effects.add(events[0].attempt)

    proceed = multiprocessing.get_context("fork").Event()
    atomic = connection.vendor == "postgresql"
    record_route("order.*", atomic=atomic).behave = behave
    fire(1)
    with processes(1, lambda index: drain()) as (worker,):
        assert gate.reached.wait(DEADLINE)
        os.kill(worker.pid, signals.SIGSTOP)
        expire_leases()
        assert reclaim().reclaimed == 1
        drain()
        os.kill(worker.pid, signals.SIGCONT)
        proceed.set()
        join([worker])
    assert settled() == {"done": 1}
    # The second effect of a route that is not atomic has the same delivery_id as the first.
    assert effects.all() == (["2"] if atomic else ["2", "1"])


@pytest.mark.postgres
def test_a_database_that_drops_every_connection_doubles_nothing(effects: Effects) -> None:
    """As in a restart: workers go on with new connections, each atomic effect happens once."""

    def behave(events: list[Event]) -> None:
        for event in events:
            effects.add(event.data["n"])

    record_route("order.*", atomic=True, batch_size=5, max_attempts=1).behave = behave
    fire(600)

    def run(index: int) -> None:
        while True:
            try:
                drain()
                return
            except Exception:
                connections.close_all()

    with processes(2, run) as workers, closing(connection.copy("saboteur")) as saboteur:
        for _ in range(8):
            before = Delivery.objects.count()
            wait_until(lambda b=before: Delivery.objects.count() < b or not b)
            with saboteur.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            connections.close_all()
        join(workers)
    let_workers_die()
    drain()
    assert Counter(effects.all()) == Counter(str(n) for n in range(600))
    assert Delivery.objects.count() == 0
