"""The sweep: what was lost on the way is found, and sleeping queues are woken."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from core.events import EventSignal, registry
from core.events.conf import conf
from core.events.delivery import work
from core.events.models import Delivery, Duty, RouteState
from core.events.state import State
from core.events.store import store_for
from core.events.sweep import Swept, sweep
from core.events.tasks import sweep_events
from tests.unit.core.events.support import (
    claim_elsewhere,
    committing,
    deliveries,
    expire_leases,
    in_threads,
    make_due,
    record_route,
    rounds,
)

pytestmark = pytest.mark.django_db


def fire(number: int = 1) -> None:
    """Fire so many events."""
    signal = EventSignal("order.paid")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


def sweep_after(seconds: float) -> Swept:
    """Sweep as if so much time had passed since the last one."""
    for duty in Duty.objects.all():
        memory: dict[str, Any] = json.loads(duty.memory)
        for queue in memory.get("queues", {}).values():
            queue["at"] -= seconds
        memory["floors_at"] = memory.get("floors_at", 0) - seconds
        duty.memory = json.dumps(memory)
        duty.until -= timedelta(seconds=seconds)
        duty.save()
    return sweep()


def test_a_lost_wake_up_costs_until_the_next_sweep() -> None:
    """A queue with work that nobody was told of is woken."""
    record_route("order.*", name="mail", queue="notifications")
    record_route("order.*", name="audit", queue="audit")
    fire()
    assert sorted(sweep().woken) == ["audit", "notifications"]


def test_without_due_work_nobody_is_woken() -> None:
    """What waits for its backoff, is held, paused or orphaned is not due."""
    for name in ("waiting", "held", "paused", "gone"):
        record_route("order.*", name=name, queue=name)
    fire()
    claim_elsewhere("held")
    RouteState.objects.create(name="paused", paused=True)
    registry.unroute("gone")
    waiting = deliveries(route="waiting")[0]
    waiting.state, waiting.due_at = 1, timezone.now() + timedelta(hours=1)
    waiting.save()
    assert sweep().woken == []


def test_a_backoff_that_is_over_wakes_its_queue() -> None:
    """Retries are found by the sweep."""
    record_route("order.*").behave = lambda events: 1 / 0
    fire()
    rounds(1)
    make_due()
    assert sweep().woken == ["default"]


def test_expired_leases_are_taken_back_and_their_queue_is_woken() -> None:
    """A dead worker's deliveries wait for its lease and a sweep, no longer."""
    record_route("order.*", batch_size=10)
    fire(3)
    claim_elsewhere()
    expire_leases()
    swept = sweep()
    assert (swept.reclaimed, swept.dead, swept.woken) == (3, 0, ["default"])


def test_one_sweep_at_a_time() -> None:
    """Beat, a second beat and every worker's timer share one duty."""
    assert sweep().ran
    assert not sweep().ran
    assert sweep_after(1).ran


@committing
def test_sweeps_at_once_are_one_sweep() -> None:
    """Among several that start together one runs, the others return at once."""
    ran: list[bool] = []
    in_threads(4, lambda index: ran.append(sweep().ran))
    assert sorted(ran) == [False, False, False, True]


def test_a_sweeper_that_died_is_followed_by_another() -> None:
    """Its duty ends by itself after some seconds."""
    assert sweep().ran
    Duty.objects.update(until=timezone.now() + timedelta(seconds=10))
    assert not sweep_after(5).ran
    assert sweep_after(6).ran


def test_a_sweeper_that_was_stuck_leaves_the_turn_of_the_next_alone() -> None:
    """Who comes back after its time neither ends another's duty nor writes over its memory."""
    store = store_for(conf.database)
    stuck = store.take_duty("sweep", 10)
    assert stuck is not None
    Duty.objects.update(until=timezone.now() - timedelta(seconds=1))
    following = store.take_duty("sweep", 20)
    assert following is not None
    assert not store.leave_duty("sweep", stuck[2], 0, '{"stale": 1}')
    assert store.take_duty("sweep", 10) is None
    assert store.leave_duty("sweep", following[2], 0, '{"fresh": 1}')
    assert Duty.objects.get().memory == '{"fresh": 1}'


def test_an_unanswered_queue_is_woken_again_with_growing_pauses() -> None:
    """A queue that nobody serves does not fill up with messages: up to 30 s between two."""
    record_route("order.*")
    fire()
    woken_at = [second for second in range(121) if sweep_after(1).woken]
    pauses = [later - earlier for earlier, later in pairwise(woken_at)]
    assert woken_at[0] == 0
    assert pauses[0] <= 2
    # The seconds that this test itself takes are counted too, so one may come a second early.
    assert all(later >= earlier - 1 for earlier, later in pairwise(pauses))
    assert pauses[-1] in range(27, 33)


def test_a_queue_that_works_is_woken_at_once_again() -> None:
    """Once something was done, the next thing that is lost is found by the next sweep."""
    record_route("order.*")
    fire()
    for _ in range(20):
        sweep_after(1)
    rounds(1)
    sweep_after(1)
    fire()
    assert sweep_after(1).woken == ["default"]


def test_the_task_says_what_was_found() -> None:
    """Flower shows a sweep's result; one that was not due says nothing."""
    record_route("order.*")
    fire()
    assert sweep_events() == {"reclaimed": 0, "dead": 0, "woken": ["default"]}
    assert sweep_events() == {}


def test_a_damaged_memory_does_not_stop_the_sweep() -> None:
    """What another version of the code remembered is not needed."""
    record_route("order.*")
    fire()
    sweep()
    Duty.objects.update(memory="{}")
    assert sweep_after(1).woken == ["default"]


@pytest.mark.postgres
def test_what_comes_back_from_long_ago_is_found() -> None:
    """Claims begin above what was settled long before; a delivery from there is not passed over."""
    recorder = record_route("order.*", batch_size=500)
    fire(2)
    first, second = claim_elsewhere(limit=2)
    for _ in range(3):
        fire(3000)
        while work(None, seconds=5).tally:
            pass
        sweep_after(10)
    floor = RouteState.objects.get(name="route").floor
    assert floor > second.id
    recorder.calls.clear()
    Delivery.objects.filter(pk=first.id).update(state=State.READY, token=None)
    expire_leases()
    for _ in range(2):
        sweep_after(10)
        work(None, seconds=1)
    assert recorder.values() == [1, 0] or recorder.values() == [0, 1]
