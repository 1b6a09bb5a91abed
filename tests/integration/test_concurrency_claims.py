"""Several workers on one queue: each delivery is one worker's, and none is forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from core.events import Event, EventSignal
from core.events.models import Delivery, EventRecord
from tests.unit.core.events.support import (
    Effects,
    committing,
    deliveries,
    drain,
    in_threads,
    join,
    processes,
    record_route,
    settled,
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


def leave_effects(effects: Effects) -> Any:
    """Return a behaviour that leaves one effect for each event."""

    def behave(events: list[Event]) -> None:
        for event in events:
            effects.add(event.data["n"])

    return behave


def fire(number: int, *, first: int = 0) -> None:
    """Fire so many events."""
    signal = EventSignal("order.paid", key="n")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(first, first + number)])


KINDS: dict[str, dict[str, Any]] = {
    "batched": {"batch_size": 20},
    "single": {"batch_size": 1},
    "ordered": {"batch_size": 20, "ordered": True},
    "coalescing": {"batch_size": 20, "coalesce": True},
    "limited": {"batch_size": 20, "concurrency": 3},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_an_atomic_route_has_each_effect_once_over_processes(
    effects: Effects, options: dict[str, Any]
) -> None:
    """Four workers drain one queue: as many effects as events, no two alike."""
    record_route("order.*", atomic=True, **options).behave = leave_effects(effects)
    fire(400)
    with processes(4, lambda index: drain()) as workers:
        join(workers)
    assert Counter(effects.all()) == Counter(str(n) for n in range(400))
    assert settled() == {"done": 400}


@pytest.mark.parametrize("options", [{}, {"batch_size": 10}, {"at_most_once": True}], ids=str)
def test_without_deaths_every_route_has_each_effect_once(
    effects: Effects, options: dict[str, Any]
) -> None:
    """Leases keep workers apart where there is no transaction to do so."""
    record_route("order.*", **options).behave = leave_effects(effects)
    fire(150)
    with processes(3, lambda index: drain()) as workers:
        join(workers)
    assert Counter(effects.all()) == Counter(str(n) for n in range(150))


def test_threads_of_one_process_share_the_work(effects: Effects) -> None:
    """A pool of threads is as good as one of processes."""
    record_route("order.*", atomic=True, batch_size=10).behave = leave_effects(effects)
    fire(200)
    in_threads(4, lambda index: drain())
    assert Counter(effects.all()) == Counter(str(n) for n in range(200))


def test_firing_and_draining_at_the_same_time(effects: Effects) -> None:
    """What is committed while workers claim is found by them, none lost, none doubled."""
    record_route("order.*", atomic=True, batch_size=10).behave = leave_effects(effects)
    signal = EventSignal("order.paid")

    def run(index: int) -> None:
        if index < 2:
            for n in range(100):
                signal.send(sender=None, n=index * 100 + n)
        else:
            drain()

    with processes(4, run) as workers:
        join(workers)
    drain()
    assert EventRecord.objects.count() == 200
    assert Counter(effects.all()) == Counter(str(n) for n in range(200))


def test_poison_in_every_batch_of_every_worker(effects: Effects) -> None:
    """Neighbours are done once, poison fails by itself, whoever claims it."""

    def behave(events: list[Event]) -> None:
        for event in events:
            effects.add(event.data["n"])
            if event.data["n"] % 25 == 0:
                raise ValueError("poison")

    record_route("order.*", atomic=True, batch_size=25, max_attempts=1).behave = behave
    fire(300)
    with processes(3, lambda index: drain()) as workers:
        join(workers)
    assert Counter(effects.all()) == Counter(str(n) for n in range(300) if n % 25)
    assert Delivery.objects.count() == 12
    assert {delivery.failures for delivery in deliveries()} == {1}
