"""The worker's side: the delivery task, its queues and its own sweep."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from core.events import EventSignal, worker
from core.events.delivery import work
from core.events.sweep import sweep
from core.events.tasks import deliver
from tests.unit.core.events.support import (
    committing,
    deliveries,
    record_route,
    wait_until,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that consumes two queues."""
    monkeypatch.setattr(worker, "_served", set())
    monkeypatch.setattr(worker, "_may_linger", False)
    queues = {"notifications": None, "audit": None}
    app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues)))
    worker._note_queues(instance=SimpleNamespace(app=app, pool_cls="solo"))


def fire(number: int = 1) -> None:
    """Fire so many events."""
    signal = EventSignal("order.paid")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


def busy(seconds: float) -> None:
    """Take so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_the_task_returns_what_flower_shows() -> None:
    """Which routes ran and how many events came to what, as JSON."""
    record_route("order.*", name="mail")
    record_route("order.*", name="broken").behave = lambda events: 1 / 0
    fire(3)
    summary = deliver(queue="default")
    assert summary == {"mail": {"done": 3}, "broken": {"failed": 3}}
    assert json.loads(json.dumps(summary)) == summary


def test_the_task_takes_the_work_of_its_queue() -> None:
    """Other queues are for others, so that slow SMS does not delay the cache."""
    record_route("order.*", name="slow", queue="notifications")
    record_route("order.*", name="quick", queue="cache")
    fire()
    assert deliver(queue="cache") == {"quick": {"done": 1}}
    assert [delivery.route for delivery in deliveries()] == ["slow"]


def test_a_worker_takes_the_work_of_all_its_queues(serving: None) -> None:
    """Whoever is awake takes everything that this worker consumes, in one claim."""
    for queue in ("notifications", "audit", "cache"):
        record_route("order.*", name=queue, queue=queue)
    fire()
    assert deliver(queue="audit") == {"audit": {"done": 1}, "notifications": {"done": 1}}
    assert [delivery.route for delivery in deliveries()] == ["cache"]


def test_a_queue_without_routes_is_no_error() -> None:
    """A message may be older than the code."""
    assert deliver(queue="forgotten") == {}


def test_a_full_claim_wakes_one_more() -> None:
    """Idle workers join in on a backlog, once per task."""
    record_route("order.*", batch_size=500)
    fire(1200)
    woken: list[set[str]] = []
    work(None, seconds=10, on_full=woken.append)
    assert woken == [{"default"}]


def test_a_small_claim_wakes_nobody() -> None:
    """There is nothing to join in."""
    record_route("order.*", batch_size=500)
    fire(3)
    woken: list[set[str]] = []
    work(None, seconds=1, on_full=woken.append)
    assert woken == []


def test_a_task_yields_after_its_time_slice() -> None:
    """One route cannot hog a worker; what is left is said."""
    record_route("order.*").behave = lambda events: busy(0.002)
    fire(2000)
    started = time.monotonic()
    worked = work(None, seconds=0.2)
    assert time.monotonic() - started < 3
    assert worked.left
    assert 0 < len(deliveries()) < 2000


def test_slow_deliveries_are_given_back_at_the_end_of_the_slice() -> None:
    """What was claimed and not begun goes to whoever is free."""

    record_route("order.*").behave = lambda events: busy(0.12)
    fire(100)
    started = time.monotonic()
    work(None, seconds=0.1)
    assert time.monotonic() - started < 4
    assert {delivery.state for delivery in deliveries()} == {0}
    assert {delivery.attempts for delivery in deliveries()} == {0}


def test_a_worker_claims_only_routes_that_it_knows() -> None:
    """Deliveries of others wait for a worker that knows them."""
    from core.events import registry

    record_route("order.*", name="new")
    record_route("order.*", name="old")
    fire()
    route = registry.unroute("new")
    assert deliver(queue="default") == {"old": {"done": 1}}
    (waiting,) = deliveries()
    assert (waiting.route, waiting.attempts) == ("new", 0)
    registry.route("order.*", name="new")(route.handler)
    assert deliver(queue="default") == {"new": {"done": 1}}


def test_a_payload_of_megabytes_does_not_make_claims_of_gigabytes() -> None:
    """A claim takes fewer of what is large."""
    sizes: list[int] = []
    record_route("order.*", batch_size=500).behave = lambda events: sizes.append(len(events))
    signal = EventSignal("order.paid")
    for _ in range(2):
        signal.send_many(sender=None, payloads=[{"n": "x" * 200_000}] * 60)
        work(None, seconds=5)
    assert sum(sizes) == 120
    assert max(sizes[1:]) <= 60


@committing
def test_the_timer_sweeps_with_beat_dead(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker sweeps by itself; what goes wrong in one sweep does not end the next ones."""
    settings.EVENTS_SWEEP_SECONDS = 0.1
    record_route("order.*")
    fire()
    swept: list[Any] = []

    def unlucky() -> None:
        swept.append(OperationalError("the database is away") if not swept else sweep())
        if len(swept) == 1:
            raise swept[0]

    monkeypatch.setattr(worker.sweep, "sweep", unlucky)
    timer = worker.SweepTimer()
    timer.start()
    try:
        wait_until(lambda: len(swept) > 1)
    finally:
        timer.stop()
        timer.join(10)
    assert not timer.is_alive()
    assert swept[1].woken == ["default"]
