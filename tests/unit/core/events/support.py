"""Tools that the engine's tests share: rows, deadlines, threads and forked processes."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from core.events import Event, deliver_pending, registry
from core.events.conf import conf
from core.events.delivery import work
from core.events.models import Delivery, EventRecord, Settlement
from core.events.routing import routing
from core.events.state import State
from core.events.store import Claimed, Scope, Want, store_for
from core.events.stored import envelope, with_data
from core.events.sweep import reclaim

DEADLINE = 20.0
# For what a test's own transaction would hide: commits, other connections, other processes.
committing = pytest.mark.django_db(transaction=True, available_apps=["core.events"])


def deliveries(**filters: Any) -> list[Delivery]:
    """Return the open deliveries in the order fired."""
    return list(Delivery.objects.filter(**filters).order_by("pk"))


def only_delivery() -> Delivery:
    """Return the one open delivery that there must be."""
    (delivery,) = deliveries()
    return delivery


def recorded(**filters: Any) -> list[Event]:
    """Return the recorded events in the order fired."""
    rows = EventRecord.objects.filter(**filters).order_by("pk")
    return [with_data(envelope(row, row.pk), row.data) for row in rows]


def settled(route: str | None = None) -> dict[str, int]:
    """Return how many deliveries have which outcome in the history."""
    counts: dict[str, int] = {}
    history = Settlement.objects.all() if route is None else Settlement.objects.filter(route=route)
    for row in history:
        counts[row.outcome] = counts.get(row.outcome, 0) + row.count
    return counts


def make_due() -> None:
    """Let every backoff be over."""
    past = timezone.now() - timedelta(hours=1)
    Delivery.objects.filter(state=State.WAITING).update(due_at=past)


def expire_leases(**filters: Any) -> int:
    """Let every lease have run out, as if its worker had died long ago."""
    past = timezone.now() - timedelta(hours=1)
    return Delivery.objects.filter(state=State.LEASED, **filters).update(due_at=past)


def rounds(number: int) -> list[dict[str, dict[str, int]]]:
    """Deliver so many times, each time with every backoff over; return the counts of each."""
    counts = []
    for _ in range(number):
        make_due()
        counts.append(deliver_pending())
    return counts


def claim_elsewhere(*names: str, limit: int = 500) -> list[Claimed]:
    """Claim as another worker would that is never heard of again."""
    store, token = store_for(conf.database), secrets.randbits(63)
    routes = [routing.get(name) for name in names] if names else list(routing)
    wants = [Want(route, limit) for route in routes if route is not None]
    exclusive = [want for want in wants if want.route.ordered or want.route.limited]
    plain = [want for want in wants if want not in exclusive]
    rows = store.claim(plain, token, Scope()) if plain else []
    for want in exclusive:
        rows += store.claim_exclusive(want, token, Scope(), unlimited=False)
    return rows


def claim_suspect_elsewhere(name: str = "route") -> list[Claimed]:
    """Claim one suspect as another worker would that is never heard of again."""
    route = routing.get(name)
    assert route is not None
    store, token = store_for(conf.database), secrets.randbits(63)
    if route.ordered or route.limited:
        want = Want(route, 1)
        return store.claim_exclusive(want, token, Scope(), suspect=True, unlimited=False)
    return store.claim_suspect([route], token, Scope())


def let_workers_die() -> None:
    """Let the leases of all who hold deliveries run out, and take those back."""
    expire_leases()
    reclaim()


class Undone(Exception):
    """What rolls a transaction back in these tests."""


def roll_back(fire: Callable[[], Any], *, using: str = "default") -> None:
    """Fire inside a transaction that does not commit."""
    try:
        with transaction.atomic(using=using):
            fire()
            raise Undone
    except Undone:
        pass


def wait_until(condition: Callable[[], Any], *, seconds: float = DEADLINE) -> Any:
    """Return what the condition returns once it is true; fail at the deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} s: {condition}"
        pause.wait(0.01)
    return found


def drain(queues: set[str] | None = None, *, seconds: float = DEADLINE) -> None:
    """Work as a worker does until no delivery is left that could be claimed or is held."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while Delivery.objects.exclude(state=State.DEAD).exists():
        assert time.monotonic() < deadline, f"{Delivery.objects.count()} deliveries are left"
        if not work(queues, seconds=1).tally:
            pause.wait(0.01)


def in_threads(number: int, target: Callable[[int], None]) -> None:
    """Run the target in so many threads at once; raise the first error of any."""
    errors: list[BaseException] = []
    start = threading.Barrier(number)

    def run(index: int) -> None:
        try:
            start.wait(DEADLINE)
            target(index)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE * 2)
    assert not any(thread.is_alive() for thread in threads), "a thread did not end"
    if errors:
        raise errors[0]


@contextmanager
def processes(number: int, target: Callable[[int], None]) -> Iterator[list[Any]]:
    """Run the target in so many forked processes at once; kill what is left at the end.

    The routes of the test are there in each of them, as they would be in a worker.
    """
    # Neither database's connections survive a fork.
    connections.close_all()
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(number)

    def run(index: int) -> None:
        try:
            together.wait(DEADLINE)
            target(index)
        finally:
            connections.close_all()

    started = [fork.Process(target=run, args=(index,), daemon=True) for index in range(number)]
    for process in started:
        process.start()
    try:
        yield started
    finally:
        for process in started:
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
            process.join(DEADLINE)


def kill(process: Any) -> None:
    """End a process at once, as the kernel would that runs out of memory."""
    os.kill(process.pid, signal.SIGKILL)
    process.join(DEADLINE)


def join(started: list[Any]) -> None:
    """Wait until the processes have ended well."""
    for process in started:
        process.join(DEADLINE * 2)
        assert process.exitcode == 0, f"a process ended with {process.exitcode}"


class Effects:
    """A table in the engine's database, for what handlers do there."""

    def __init__(self) -> None:
        self._execute("DROP TABLE IF EXISTS test_effects")
        key = "bigserial" if connection.vendor == "postgresql" else "integer"
        self._execute(
            f"CREATE TABLE test_effects (id {key} PRIMARY KEY, what text NOT NULL, parent bigint "
            "REFERENCES test_effects (id) DEFERRABLE INITIALLY DEFERRED)"
        )

    def add(self, what: object, *, parent: int | None = None) -> None:
        """Leave an effect; one whose parent is not there is refused at COMMIT."""
        self._execute("INSERT INTO test_effects (what, parent) VALUES (%s, %s)", str(what), parent)

    def all(self) -> list[str]:
        """Return the effects in the order in which they happened."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT what FROM test_effects ORDER BY id")
            return [row[0] for row in cursor.fetchall()]

    def clear(self) -> None:
        """Forget every effect."""
        self._execute("DELETE FROM test_effects")

    def drop(self) -> None:
        """Remove the table; a test's own transaction takes it along when it rolls back."""
        if not connection.in_atomic_block:
            self._execute("DROP TABLE test_effects")

    @staticmethod
    def _execute(sql: str, *params: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)


class Recorder:
    """A handler that remembers its calls and does what the test told it to."""

    def __init__(self) -> None:
        self.calls: list[list[Event]] = []
        self.behave: Callable[[list[Event]], None] = lambda events: None

    def __call__(self, given: Event | list[Event]) -> None:
        events = given if isinstance(given, list) else [given]
        self.calls.append(events)
        self.behave(events)

    @property
    def events(self) -> list[Event]:
        """The events of all calls, one after another."""
        return [event for call in self.calls for event in call]

    def values(self, key: str = "n") -> list[Any]:
        """Return one payload value of each event, over all calls."""
        return [event.data[key] for event in self.events]

    def batches(self, key: str = "n") -> list[list[Any]]:
        """Return one payload value of each event, a list for each call."""
        return [[event.data[key] for event in call] for call in self.calls]


def raising(error: BaseException) -> Any:
    """Return a behaviour of a handler: it raises this."""

    def behave(events: list[Event]) -> None:
        raise error

    return behave


def record_route(*patterns: Any, name: str = "route", **options: Any) -> Recorder:
    """Register a recorder as the handler of a route."""
    recorder = Recorder()
    registry.route(*patterns, name=name, **options)(recorder)
    return recorder
