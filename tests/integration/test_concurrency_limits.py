"""Rate and concurrency hold over all workers."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator

import pytest

from core.events import Event, EventSignal
from core.events.delivery import work
from tests.unit.core.events.support import (
    committing,
    deliveries,
    drain,
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


def fire(number: int) -> None:
    """Fire so many events."""
    signal = EventSignal("sms.wanted")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


@pytest.mark.parametrize("batch_size", [1, 4])
def test_processes_share_one_rate(batch_size: int) -> None:
    """However many claim at once, no more than the rate is handled, and no less."""
    record_route("sms.*", rate="30/h", batch_size=batch_size)
    fire(100)

    def run(index: int) -> None:
        for _ in range(10):
            work(None, seconds=0.05)

    with processes(4, run) as workers:
        join(workers)
    assert settled() == {"done": 30}
    assert len(deliveries()) == 70


@pytest.mark.parametrize("limit", [1, 2])
def test_processes_share_one_concurrency(limit: int) -> None:
    """At no moment do more calls run than allowed, and all is done in the end."""
    fork = multiprocessing.get_context("fork")
    running, most = fork.Value("i", 0), fork.Value("i", 0)

    def behave(events: list[Event]) -> None:
        with running.get_lock():
            running.value += 1
            most.value = max(most.value, running.value)
        threading.Event().wait(0.003)
        with running.get_lock():
            running.value -= 1

    record_route("sms.*", concurrency=limit).behave = behave
    fire(60)
    with processes(4, lambda index: drain()) as workers:
        join(workers)
    assert 1 <= most.value <= limit
    assert settled() == {"done": 60}
