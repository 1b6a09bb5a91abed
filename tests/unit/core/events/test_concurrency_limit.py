"""concurrency: how many calls of a route run at once, over all workers."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from core.events import Event, EventSignal
from core.events.delivery import work
from core.events.models import Duty
from core.events.sweep import sweep
from tests.unit.core.events.support import (
    claim_elsewhere,
    committing,
    drain,
    expire_leases,
    in_threads,
    let_workers_die,
    record_route,
    settled,
)

pytestmark = pytest.mark.django_db


def fire(number: int) -> None:
    """Fire so many events."""
    signal = EventSignal("sms.wanted", key="n")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_no_more_claims_at_once_than_allowed(limit: int) -> None:
    """A claim calls one handler at a time, so claims are what is counted."""
    record_route("sms.*", concurrency=limit)
    fire(10)
    for _ in range(limit):
        assert len(claim_elsewhere("route", limit=1)) == 1
    assert claim_elsewhere("route", limit=1) == []


def test_expired_leases_do_not_count() -> None:
    """A worker that died gives its place back when its lease is over."""
    record_route("sms.*", concurrency=1)
    fire(2)
    assert claim_elsewhere("route", limit=1)
    expire_leases()
    assert claim_elsewhere("route", limit=1)


@committing
def test_the_limit_holds_over_threads() -> None:
    """At no moment do more calls run than allowed, and all is done in the end."""
    running, most, lock = [0], [0], threading.Lock()

    def behave(events: list[Event]) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.005)
        with lock:
            running[0] -= 1

    record_route("sms.*", concurrency=2).behave = behave
    fire(30)
    in_threads(4, lambda index: drain())
    assert most[0] <= 2
    assert settled() == {"done": 30}


def test_a_busy_route_does_not_make_the_sweep_spin() -> None:
    """Nobody is woken for a route that has all the calls it may have."""
    record_route("sms.*", concurrency=1)
    fire(3)
    claim_elsewhere("route", limit=1)
    assert sweep().woken == []
    let_workers_die()
    Duty.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert sweep().woken == ["default"]


def test_other_routes_go_on() -> None:
    """A full route holds up nobody else on its queue."""
    record_route("sms.*", name="full", concurrency=1)
    record_route("sms.*", name="free")
    fire(3)
    claim_elsewhere("full", limit=1)
    work(None, seconds=0.1)
    assert settled() == {"done": 3}
