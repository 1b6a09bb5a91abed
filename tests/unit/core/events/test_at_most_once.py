"""at_most_once: marked started just before the call, never repeated by the engine itself."""

from __future__ import annotations

from typing import Any

import pytest
from celery.exceptions import WorkerShutdown
from django.db import OperationalError

from core.events import Event, EventSignal, Retry, deliver_pending, delivery_died
from core.events.models import Delivery
from core.events.state import State
from core.events.sweep import reclaim
from tests.unit.core.events.support import (
    Recorder,
    claim_elsewhere,
    deliveries,
    expire_leases,
    let_workers_die,
    only_delivery,
    record_route,
    rounds,
    settled,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def recorder() -> Recorder:
    """The handler of an at-most-once route."""
    return record_route("sms.*", at_most_once=True)


def fire(number: int = 1) -> None:
    """Fire so many events."""
    signal = EventSignal("sms.wanted")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


def raising(error: BaseException, n: int = 0) -> Any:
    """Return a behaviour that raises this for the event of this number."""

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == n:
            raise error

    return behave


def test_success_settles_like_any_other(recorder: Recorder) -> None:
    """Each delivery is called once and settled."""
    fire(5)
    assert deliver_pending() == {"route": {"done": 5}}
    assert recorder.values() == [0, 1, 2, 3, 4]
    assert deliveries() == []


def test_it_is_marked_started_just_before_its_own_call(recorder: Recorder) -> None:
    """While one is called, the others of the claim are not marked yet."""
    marks: list[list[bool]] = []
    recorder.behave = lambda events: marks.append(
        list(Delivery.objects.order_by("pk").values_list("started", flat=True))
    )
    fire(3)
    deliver_pending()
    assert marks == [[True, False, False], [True, False], [True]]


@pytest.mark.parametrize(
    "error", [ValueError("provider"), OperationalError("lost"), TimeoutError()], ids=repr
)
def test_a_failure_makes_it_dead_with_outcome_unknown(recorder: Recorder, error: Exception) -> None:
    """Whatever failed, it may have had its effect, so a person decides."""
    recorder.behave = raising(error)
    fire(3)
    assert deliver_pending() == {"route": {"done": 2, "dead": 1}}
    delivery = only_delivery()
    assert delivery.state == State.DEAD
    assert "outcome unknown" in (delivery.error or "")
    assert type(error).__name__ in (delivery.error or "")
    rounds(3)
    assert len(recorder.calls) == 3


def test_the_death_is_announced(recorder: Recorder) -> None:
    """Somebody has to hear that a decision is due."""
    heard: list[Any] = []

    def hear(event: Event, error: str, **_: Any) -> None:
        heard.append((event.data["n"], error))

    delivery_died.connect(hear)
    try:
        recorder.behave = raising(ValueError())
        fire()
        deliver_pending()
        fire()
        claim_elsewhere()
        Delivery.objects.filter(state=State.LEASED).update(started=True)
        let_workers_die()
    finally:
        delivery_died.disconnect(hear)
    assert [n for n, _ in heard] == [0, 0]
    assert all("outcome unknown" in error for _, error in heard)


def test_a_worker_that_dies_in_the_call_leaves_it_dead(recorder: Recorder) -> None:
    """What had been started is never called again."""
    fire()
    claim_elsewhere()
    Delivery.objects.update(started=True)
    let_workers_die()
    delivery = only_delivery()
    assert delivery.state == State.DEAD
    assert "outcome unknown" in (delivery.error or "")
    rounds(2)
    assert recorder.calls == []


def test_a_worker_that_dies_before_the_call_leaves_it_as_it_was(recorder: Recorder) -> None:
    """What had not been started yet is delivered as if nothing had been."""
    fire(3)
    claim_elsewhere()
    expire_leases()
    assert reclaim().dead == 0
    assert deliver_pending() == {"route": {"done": 3}}
    assert settled() == {"done": 3}


def test_a_shutdown_in_the_call_spares_those_not_started(recorder: Recorder) -> None:
    """Only the one whose call was cut off is dead; the others go back untouched."""
    recorder.behave = raising(WorkerShutdown(), n=1)
    fire(4)
    with pytest.raises(WorkerShutdown):
        deliver_pending()
    states = [(delivery.state, delivery.attempts) for delivery in deliveries()]
    assert states == [(State.DEAD, 1), (State.READY, 0), (State.READY, 0)]
    recorder.behave = lambda events: None
    assert deliver_pending() == {"route": {"done": 2}}
    assert [event.attempt for event in recorder.events] == [1, 1, 1, 1]


def test_a_handler_may_ask_for_another_try(recorder: Recorder) -> None:
    """`Retry` is the handler's own word that nothing has happened."""
    recorder.behave = raising(Retry(after=0))
    fire()
    assert deliver_pending() == {"route": {"retried": 1}}
    assert only_delivery().started is False
    recorder.behave = lambda events: None
    assert rounds(1) == [{"route": {"done": 1}}]


def test_what_cannot_even_be_read_was_not_called(recorder: Recorder) -> None:
    """Its outcome is known: it is tried again like any other failure."""
    from core.events.declarations import declared

    fire()
    declared.forget("sms.wanted")
    assert deliver_pending() == {"route": {"failed": 1}}
    assert only_delivery().state == State.WAITING
    _signal = EventSignal("sms.wanted")
    assert rounds(1) == [{"route": {"done": 1}}]


def test_a_lost_lease_before_the_call_skips_it(recorder: Recorder) -> None:
    """Without the lease it is not called, since somebody else may be calling it."""

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == 0:
            Delivery.objects.filter(started=False).update(token=1)

    recorder.behave = behave
    fire(3)
    assert deliver_pending() == {"route": {"done": 1}}
    assert recorder.values() == [0]


@pytest.mark.parametrize(
    "options", [{"ordered": True}, {"concurrency": 1}, {"rate": "1000/s"}], ids=str
)
def test_it_goes_with_order_and_limits(options: dict[str, Any]) -> None:
    """One that failed is dead and holds up none of its key."""
    recorder = record_route("sms.*", at_most_once=True, **options)
    recorder.behave = raising(ValueError(), n=1)
    signal = EventSignal("sms.wanted", key="key")
    signal.send_many(sender=None, payloads=[{"key": "a", "n": n} for n in range(4)])
    rounds(3)
    assert recorder.values() == [0, 1, 2, 3]
    assert only_delivery().state == State.DEAD
    assert settled() == {"done": 3}
