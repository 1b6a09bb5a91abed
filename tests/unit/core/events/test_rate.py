"""Rates: how many events a route handles in any period, over all workers."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from core.events import EventSignal
from core.events.delivery import work
from core.events.models import Duty, RouteState
from core.events.routing import Rate
from core.events.store.limits import add_grant, allowance, closing_time
from core.events.sweep import sweep
from tests.unit.core.events.support import committing, in_threads, record_route, settled

pytestmark = pytest.mark.django_db


def fire(number: int) -> None:
    """Fire so many events."""
    signal = EventSignal("sms.wanted")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


def let_pass(seconds: float) -> None:
    """Let the grants of every rate be so much older."""
    for state in RouteState.objects.all():
        state.grants = json.dumps([[at - seconds, count] for at, count in json.loads(state.grants)])
        state.closed_until = None
        state.save()


def work_some() -> None:
    """Look for work a few times."""
    for _ in range(4):
        work(None, seconds=0.05)


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_no_more_than_the_rate_in_a_period(batch_size: int) -> None:
    """A rate counts events, not calls; the rest waits and is not lost."""
    recorder = record_route("sms.*", rate="7/h", batch_size=batch_size)
    fire(20)
    work_some()
    assert len(recorder.events) == 7
    let_pass(1800)
    work_some()
    assert len(recorder.events) == 7
    let_pass(1900)
    work_some()
    assert len(recorder.events) == 14
    let_pass(3700)
    work_some()
    assert sorted(recorder.values()) == list(range(20))


@committing
def test_it_holds_over_all_workers() -> None:
    """Workers that claim at the same moment share one rate."""
    recorder = record_route("sms.*", rate="10/h")
    fire(40)
    in_threads(4, lambda index: work_some())
    assert len(recorder.events) == 10


def test_other_routes_of_the_queue_go_on() -> None:
    """A rate slows its own route only."""
    record_route("sms.*", name="slow", rate="1/d")
    record_route("sms.*", name="quick")
    fire(10)
    work_some()
    assert settled("slow") == {"done": 1}
    assert settled("quick") == {"done": 10}


def test_a_retry_counts_again() -> None:
    """Each handling costs the provider a call."""
    from core.events import Retry

    recorder = record_route("sms.*", rate="3/h")
    recorder.behave = lambda events: (_ for _ in ()).throw(Retry(after=0))
    fire(1)
    work_some()
    assert len(recorder.calls) == 3


def test_a_closed_rate_does_not_make_the_sweep_spin() -> None:
    """Nobody is woken for work that may not be done yet; afterwards somebody is."""
    record_route("sms.*", rate="2/h")
    fire(5)
    work_some()
    Duty.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert sweep().woken == []
    let_pass(3700)
    Duty.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert sweep().woken == ["default"]


def test_a_worker_is_told_when_a_rate_opens() -> None:
    """It can wake itself in time instead of waiting for a sweep."""
    record_route("sms.*", rate="2/s")
    fire(3)
    worked = work(None, seconds=0)
    assert worked.again_in is not None
    assert 0 < worked.again_in <= 1.1


def test_an_ordered_route_can_have_a_rate() -> None:
    """Both hold at once."""
    recorder = record_route("sms.*", rate="4/h", ordered=True, batch_size=3)
    signal = EventSignal("sms.wanted", key="key")
    signal.send_many(sender=None, payloads=[{"key": "a", "n": n} for n in range(10)])
    work_some()
    assert recorder.values() == [0, 1, 2, 3]


arrivals = st.lists(st.tuples(st.floats(0, 0.7), st.integers(1, 40)), min_size=1, max_size=60)


@settings(deadline=None, max_examples=200, database=None)
@given(arrivals, st.integers(1, 50), st.sampled_from([1.0, 60.0]))
def test_no_window_ever_holds_more_than_the_rate(
    looks: list[tuple[float, int]], count: int, period: float
) -> None:
    """Whenever workers look and however much they want, any period holds at most the count."""
    rate, grants, now = Rate(count, period), [], 1_700_000_000.0
    taken: list[tuple[float, int]] = []
    for pause, wanted in looks:
        now += pause * period
        allowed = allowance(rate, wanted, grants, now)
        grants = add_grant(rate, allowed.grants, now, allowed.count)
        taken.append((now, allowed.count))
        window = [number for at, number in taken if now - period < at <= now]
        assert sum(window) <= count
        assert closing_time(rate, grants, now) <= period * 1.021


@pytest.mark.parametrize("per_look", [1, 3])
def test_a_stream_below_the_rate_is_never_held_up(per_look: int) -> None:
    """Small claims in quick succession do not add up to a pause."""
    rate, grants, now = Rate(100, 1.0), [], 1_700_000_000.0
    for _ in range(500):
        now += per_look * 0.015
        allowed = allowance(rate, per_look, grants, now)
        assert allowed.count == per_look
        grants = add_grant(rate, allowed.grants, now, per_look)
        assert len(grants) < 60
