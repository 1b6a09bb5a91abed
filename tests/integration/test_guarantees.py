"""The table of guarantees, the rows that need neither deaths nor brokers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction

from core.events import EventSignal, deliver_pending, registry
from core.events.models import EventRecord, RouteState
from core.events.state import State
from tests.unit.core.events.support import (
    committing,
    deliveries,
    drain,
    make_due,
    only_delivery,
    record_route,
    roll_back,
    rounds,
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
def signal() -> EventSignal:
    """A signal to fire."""
    return EventSignal("order.paid", key="n")


def seen_elsewhere(count: Any) -> int:
    """Return a count as another connection has it."""
    found: list[int] = []

    def look() -> None:
        found.append(count())
        connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


def test_a_transaction_that_rolls_back_leaves_nothing(signal: EventSignal) -> None:
    """No event, no delivery, no effect; the same for a savepoint in one that commits."""
    recorder = record_route("order.*")
    roll_back(lambda: signal.send(sender=None, n=1))
    with transaction.atomic():
        roll_back(lambda: signal.send_many(sender=None, payloads=[{"n": 2}, {"n": 3}]))
        signal.send(sender=None, n=4)
    drain()
    assert recorder.values() == [4]
    assert EventRecord.objects.count() == 1


@pytest.mark.postgres
def test_nobody_sees_an_event_before_its_commit(signal: EventSignal) -> None:
    """Workers cannot be faster than the transaction that fired."""
    record_route("order.*")
    with transaction.atomic():
        signal.send(sender=None, n=1)
        assert seen_elsewhere(EventRecord.objects.count) == 0
        assert seen_elsewhere(lambda: len(deliver_pending())) == 0
    assert seen_elsewhere(EventRecord.objects.count) == 1


@pytest.mark.postgres
def test_a_commit_that_comes_late_is_not_passed_over(signal: EventSignal) -> None:
    """An event whose transaction took long is delivered though later ones were settled before."""
    recorder = record_route("order.*")
    begun, finish = threading.Event(), threading.Event()

    def take_long() -> None:
        with transaction.atomic():
            signal.send(sender=None, n="late")
            begun.set()
            finish.wait(20)
        connections.close_all()

    thread = threading.Thread(target=take_long)
    thread.start()
    assert begun.wait(20)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(50)])
    drain()
    finish.set()
    thread.join()
    drain()
    assert recorder.values()[-1] == "late"


def test_a_handler_that_keeps_failing_delays_only_its_route(signal: EventSignal) -> None:
    """It ends dead, with the error, and a person can take it up again."""
    failing = record_route("order.*", name="failing", max_attempts=3)
    failing.behave = lambda events: 1 / 0
    good = record_route("order.*", name="good")
    signal.send(sender=None, n=1)
    rounds(3)
    delivery = only_delivery()
    assert (delivery.route, delivery.state) == ("failing", State.DEAD)
    assert "ZeroDivisionError" in (delivery.error or "")
    assert good.values() == [1]
    failing.behave = lambda events: None
    from core.events.interventions import retry
    from core.events.selection import Selection

    retry(Selection(routes=["failing"]))
    make_due()
    drain()
    assert settled("failing") == {"done": 1}
    assert len({event.delivery_id for event in failing.events}) == 1


def test_deliveries_of_a_route_whose_code_is_gone_wait(signal: EventSignal) -> None:
    """They are nobody's failure and are delivered when the code is back."""
    record_route("order.*")
    signal.send(sender=None, n=1)
    route = registry.unroute("route")
    rounds(3)
    delivery = only_delivery()
    assert (delivery.state, delivery.attempts, delivery.failures) == (State.READY, 0, 0)
    registry.route("order.*", name="route")(route.handler)
    drain()
    assert settled() == {"done": 1}


@pytest.mark.parametrize(
    "options", [{}, {"ordered": True}, {"rate": "1000/s"}, {"batch_size": 5}], ids=str
)
def test_a_paused_route_loses_nothing(signal: EventSignal, options: dict[str, Any]) -> None:
    """Its deliveries accumulate, the others go on, and afterwards all are done."""
    recorder = record_route("order.*", name="paused", **options)
    record_route("order.*", name="open")
    RouteState.objects.create(name="paused", paused=True)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(10)])
    deliver_pending()
    assert settled() == {"done": 10}
    assert len(deliveries()) == 10
    assert recorder.calls == []
    RouteState.objects.update(paused=False)
    drain()
    assert sorted(recorder.values()) == list(range(10))
