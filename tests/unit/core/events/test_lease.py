"""Leases: what bounds one handler call, and what becomes of who overstays."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from celery.exceptions import WorkerShutdown
from django.db import connection

from core.events import Backoff, Event, EventSignal, deliver_pending
from core.events.errors import LeaseExpired
from core.events.interrupt import bounded
from core.events.models import Delivery
from core.events.state import State
from core.events.store.base import with_slack
from core.events.sweep import reclaim
from tests.unit.core.events.support import (
    Effects,
    claim_elsewhere,
    committing,
    deliveries,
    expire_leases,
    in_threads,
    only_delivery,
    record_route,
    rounds,
    settled,
)

both = pytest.mark.parametrize("atomic", [False, True], ids=["plain", "atomic"])


def busy(seconds: float) -> None:
    """Keep the processor busy for so long, as a handler would that cannot be interrupted."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def fire(number: int = 1) -> None:
    """Fire so many events."""
    signal = EventSignal("order.paid", key="n")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


def test_a_block_in_the_main_thread_is_interrupted() -> None:
    """A timer ends it at its time."""
    started = time.monotonic()
    with pytest.raises(LeaseExpired, match="lease"), bounded(0.1):
        threading.Event().wait(10)
    assert time.monotonic() - started < 2


def test_a_block_in_another_thread_fails_at_its_end() -> None:
    """Where nothing can interrupt it, its time is still measured."""
    caught: list[Exception] = []

    def run(index: int) -> None:
        try:
            with bounded(0.01):
                busy(0.05)
        except LeaseExpired as error:
            caught.append(error)

    in_threads(1, run)
    assert len(caught) == 1


def test_an_interruption_that_is_swallowed_comes_again() -> None:
    """Code that catches every exception, as libraries do, cannot go on for ever."""
    reached = []

    def handle() -> None:
        with suppress(Exception):
            threading.Event().wait(5)
        reached.append("what follows")
        threading.Event().wait(5)

    with pytest.raises(LeaseExpired), bounded(0.05):
        handle()
    assert reached == ["what follows"]


def test_a_block_that_swallows_the_interruption_fails_at_its_end() -> None:
    """A handler with `except Exception` around everything does not get away with it."""
    with pytest.raises(LeaseExpired), bounded(0.05), suppress(Exception):
        threading.Event().wait(10)


def test_a_block_in_time_is_left_alone() -> None:
    """Neither an error nor a timer is left behind."""
    import signal

    with bounded(10):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_during_the_clean_up_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block was in time; the handler from before is put back whatever comes meanwhile."""
    import os
    import signal

    set_timer, armed = signal.setitimer, []

    def ring_when_put_away(which: int, seconds: float, interval: float = 0.0) -> Any:
        if seconds:
            armed.append(seconds)
        elif armed:
            os.kill(os.getpid(), signal.SIGALRM)
        return set_timer(which, seconds, interval)

    former = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(signal, "setitimer", ring_when_put_away)
    try:
        with bounded(10):
            pass
        assert signal.getsignal(signal.SIGALRM) is former
        assert armed == [10]
    finally:
        signal.signal(signal.SIGALRM, former)


def test_somebody_elses_timer_goes_on() -> None:
    """A test runner's own alarm is put back with what it had left."""
    import signal

    def ring(*_: Any) -> None:
        """Do nothing."""

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        with bounded(10):
            pass
        assert 90 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
        assert signal.getsignal(signal.SIGALRM) is ring
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@committing
@both
def test_a_call_that_outlasts_its_lease_is_a_failure(atomic: bool, effects: Effects) -> None:
    """It is interrupted and charged; an atomic one leaves no effect."""

    def behave(events: list[Event]) -> None:
        effects.add("begun")
        threading.Event().wait(10)

    record_route("order.*", lease=0.2, atomic=atomic).behave = behave
    fire()
    started = time.monotonic()
    assert deliver_pending() == {"route": {"failed": 1}}
    assert time.monotonic() - started < 3
    assert "LeaseExpired" in (only_delivery().error or "")
    assert effects.all() == ([] if atomic else ["begun"])


@pytest.mark.postgres
@committing
@both
def test_a_statement_that_hangs_is_interrupted_and_the_connection_recovers(atomic: bool) -> None:
    """The next delivery finds a connection that works."""

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == 0:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(20)")

    record_route("order.*", lease=0.3, atomic=atomic).behave = behave
    fire(3)
    assert deliver_pending() == {"route": {"done": 2, "failed": 1}}
    assert "LeaseExpired" in (only_delivery().error or "")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
            "AND datname = current_database() AND query = 'SELECT pg_sleep(20)'"
        )
        assert cursor.fetchone() == (0,)


@committing
@both
def test_one_slow_event_in_a_batch_is_found(atomic: bool) -> None:
    """A batch that outlasts the lease is split like any that failed."""

    def behave(events: list[Event]) -> None:
        if any(event.data["n"] == 2 for event in events):
            threading.Event().wait(10)

    record_route("order.*", batch_size=4, lease=0.2, atomic=atomic).behave = behave
    fire(4)
    deliver_pending()
    rounds(1)
    assert settled() == {"done": 3}
    assert only_delivery().failures >= 1


@committing
def test_leases_are_renewed_from_call_to_call() -> None:
    """A claim whose calls together take longer than the lease loses nothing."""
    recorder = record_route("order.*", lease=0.4)
    recorder.behave = lambda events: busy(0.15)
    fire(5)
    assert deliver_pending() == {"route": {"done": 5}}
    assert settled() == {"done": 5}


@committing
def test_rows_lost_meanwhile_are_skipped() -> None:
    """What somebody else holds by now is not called."""

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == 0:
            Delivery.objects.filter(event__key="1").update(token=1)
            busy(0.05)

    recorder = record_route("order.*", lease=0.5)
    recorder.behave = behave
    fire(3)
    assert deliver_pending() == {"route": {"done": 2}}
    assert recorder.values() == [0, 2]
    assert only_delivery().token == 1


@committing
def test_a_late_settlement_is_refused_and_the_delivery_is_handled_again() -> None:
    """At least once, with the same `delivery_id`: that of whoever holds it now counts."""

    def behave(events: list[Event]) -> None:
        if events[0].attempt == 1:
            expire_leases()
            reclaim()

    recorder = record_route("order.*")
    recorder.behave = behave
    fire()
    deliver_pending()
    assert settled() == {"done": 1}
    assert len(recorder.calls) == 2
    assert len({event.delivery_id for event in recorder.events}) == 1


@committing
def test_a_held_delivery_is_nobody_elses() -> None:
    """Until the lease is over, no other claim gets it."""
    recorder = record_route("order.*")
    fire(2)
    assert len(claim_elsewhere()) == 2
    assert claim_elsewhere() == []
    assert deliver_pending() == {}
    assert recorder.calls == []


@committing
def test_the_lease_is_that_of_the_route() -> None:
    """It is set by the database's clock when the delivery is claimed."""
    record_route("order.*", name="short", lease=5)
    record_route("order.*", name="long", lease=500)
    fire()
    claim_elsewhere()
    with connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_TIMESTAMP")
        now = cursor.fetchone()[0]
    if isinstance(now, str):
        from datetime import UTC, datetime

        now = datetime.fromisoformat(now).replace(tzinfo=UTC)
    left = {
        delivery.route: (delivery.due_at - now).total_seconds()
        for delivery in deliveries()
        if delivery.due_at
    }
    # SQLite tells the time in whole seconds.
    assert 3 < left["short"] <= with_slack(5) + 1.1
    assert 490 < left["long"] <= with_slack(500) + 1.1


@pytest.mark.django_db
@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
def test_a_handler_that_quits_has_failed(error: type[BaseException]) -> None:
    """A handler cannot end the worker: `sys.exit()` in it is a failure as any."""

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == 0:
            raise error

    record_route("order.*", max_attempts=1).behave = behave
    fire(2)
    assert deliver_pending() == {"route": {"dead": 1, "done": 1}}


@committing
@pytest.mark.parametrize("error", [KeyboardInterrupt, WorkerShutdown, GeneratorExit])
def test_a_shutdown_gives_back_what_is_held(error: type[BaseException]) -> None:
    """A worker that is told to stop keeps nobody waiting for its leases."""

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == 1:
            raise error

    recorder = record_route("order.*", backoff=Backoff(first=60, jitter="none"))
    recorder.behave = behave
    fire(4)
    with pytest.raises(error):
        deliver_pending()
    assert {delivery.state for delivery in deliveries()} == {State.READY}
    assert {delivery.failures for delivery in deliveries()} == {0}
    recorder.behave = lambda events: None
    assert deliver_pending() == {"route": {"done": 3}}
