"""EVENTS_MODE="inline": the firing process delivers after its commit, without Celery."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from core.events import Event, EventSignal, Retry, deliver_pending
from core.events.models import EventRecord
from core.events.state import State
from tests.unit.core.events.support import (
    committing,
    deliveries,
    only_delivery,
    record_route,
    roll_back,
    settled,
)

pytestmark = committing


@pytest.fixture(autouse=True)
def inline(settings: Any) -> None:
    """Deliver inline."""
    settings.EVENTS_MODE = "inline"


@pytest.fixture
def signal() -> EventSignal:
    """A signal to fire."""
    return EventSignal("order.paid", key="n")


def test_outside_a_transaction_it_is_delivered_at_once(signal: EventSignal) -> None:
    """When `send` returns, the effects have happened."""
    recorder = record_route("order.*")
    signal.send(sender=None, n=1)
    assert recorder.values() == [1]
    assert settled() == {"done": 1}


def test_inside_a_transaction_it_waits_for_the_commit(signal: EventSignal) -> None:
    """No handler sees what may still be rolled back."""
    recorder = record_route("order.*")
    with transaction.atomic():
        signal.send(sender=None, n=1)
        assert recorder.calls == []
    assert recorder.values() == [1]


def test_a_rollback_delivers_nothing(signal: EventSignal) -> None:
    """As if it had never been fired."""
    recorder = record_route("order.*")
    roll_back(lambda: signal.send(sender=None, n=1))
    assert recorder.calls == []
    assert not EventRecord.objects.exists()


@pytest.mark.parametrize("error", [ValueError(), Retry(after=60)], ids=["failure", "retry"])
def test_a_handlers_error_never_reaches_the_caller(signal: EventSignal, error: Exception) -> None:
    """It waits for `manage.py events work`, with the error kept."""
    record_route("order.*").behave = lambda events: (_ for _ in ()).throw(error)
    good = record_route("order.*", name="good")
    signal.send(sender=None, n=1)
    assert only_delivery().state == State.WAITING
    assert good.values() == [1]


def test_what_handlers_fire_is_delivered_too(signal: EventSignal) -> None:
    """A chain of events runs to its end, one handler after another, not inside each other."""
    depth: list[int] = [0]
    deepest: list[int] = []

    def go_on(events: list[Event]) -> None:
        depth[0] += 1
        deepest.append(depth[0])
        if events[0].data["n"] < 50:
            signal.send(sender=None, n=events[0].data["n"] + 1)
        depth[0] -= 1

    recorder = record_route("order.*")
    recorder.behave = go_on
    signal.send(sender=None, n=0)
    assert recorder.values() == list(range(51))
    assert set(deepest) == {1}


def test_all_of_a_large_send_many_are_delivered(signal: EventSignal) -> None:
    """However many one claim would take."""
    recorder = record_route("order.*")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(300)])
    assert sorted(recorder.values()) == list(range(300))
    assert deliveries() == []


def test_all_kinds_of_routes_work(signal: EventSignal) -> None:
    """Batches, atomic, ordered and limited routes need no worker."""
    options: dict[str, dict[str, Any]] = {
        "batch": {"batch_size": 10},
        "atomic": {"atomic": True},
        "ordered": {"ordered": True},
        "limited": {"concurrency": 1, "rate": "1000/s"},
        "once": {"at_most_once": True},
        "coalesced": {"coalesce": True, "batch_size": 5},
    }
    for name, chosen in options.items():
        record_route("order.*", name=name, **chosen)
    with transaction.atomic():
        for n in range(10):
            signal.send(sender=None, n=n)
    assert settled() == {"done": 10 * len(options)}


def test_a_rate_is_kept(signal: EventSignal) -> None:
    """What is over the limit waits for `manage.py events work`."""
    recorder = record_route("order.*", rate="3/h")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(5)])
    assert len(recorder.events) == 3
    assert len(deliveries()) == 2


def test_only_the_events_just_fired_are_delivered(signal: EventSignal) -> None:
    """A request does not pay for what others left behind."""
    recorder = record_route("order.*")
    recorder.behave = lambda events: (_ for _ in ()).throw(Retry(after=0))
    signal.send(sender=None, n=1)
    recorder.behave = lambda events: None
    recorder.calls.clear()
    signal.send(sender=None, n=2)
    assert recorder.values() == [2]
    assert deliver_pending() == {"route": {"done": 1}}


def test_a_shutdown_in_a_handler_leaves_nothing_stuck(signal: EventSignal) -> None:
    """Ctrl-C goes through, and the next event is delivered as usual."""
    recorder = record_route("order.*")
    recorder.behave = lambda events: (_ for _ in ()).throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        signal.send(sender=None, n=1)
    recorder.behave = lambda events: None
    signal.send(sender=None, n=2)
    assert recorder.values() == [1, 2]
