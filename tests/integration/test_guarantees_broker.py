"""Broker down, emptied or back: every event still takes effect, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from core.events import EventSignal
from core.events.models import Duty
from core.events.sweep import Swept, sweep
from core.events.tasks import deliver
from tests.unit.core.events.brokers import (
    HangingServer,
    Inbox,
    as_broker,
    refused_port,
    using_broker,
)
from tests.unit.core.events.support import committing, deliveries, record_route, wait_until
from tests.unit.core.events.wiring import fresh_wiring

pytestmark = committing


@pytest.fixture(autouse=True)
def wiring() -> Iterator[None]:
    """No route but the test's own."""
    with fresh_wiring():
        yield


@pytest.fixture
def queue() -> str:
    """A queue of this test alone."""
    return f"test-{uuid4().hex}"


def sweep_now() -> Swept:
    """Sweep without waiting for the next one to be due."""
    Duty.objects.update(until=timezone.now() - timedelta(seconds=1))
    return sweep()


@pytest.mark.parametrize("kind", ["refused", "hanging"])
def test_what_was_fired_while_the_broker_was_away_is_found(
    redis_url: str, queue: str, kind: str
) -> None:
    """The sweep cannot wake anybody either, says nothing, and does so once the broker is back."""
    recorder = record_route("order.*", queue=queue)
    signal = EventSignal("order.paid")
    with closing(HangingServer()) as server:
        port = server.port if kind == "hanging" else refused_port()
        with using_broker(f"redis://127.0.0.1:{port}/0"):
            for n in range(5):
                signal.send(sender=None, n=n)
            assert sweep_now().ran
    with closing(Inbox(redis_url, queue)) as inbox, using_broker(as_broker(redis_url)):
        assert sweep_now().woken == [queue]
        assert inbox.count() == 1
        deliver(queue=queue)
    assert sorted(recorder.values()) == [0, 1, 2, 3, 4]
    assert deliveries() == []


def test_an_emptied_broker_costs_a_second_and_no_event(redis_url: str, queue: str) -> None:
    """The wake-ups are gone, the deliveries are not; the next sweep wakes the queue again."""
    record_route("order.*", queue=queue)
    with closing(Inbox(redis_url, queue)) as inbox, using_broker(as_broker(redis_url)):
        EventSignal("order.paid").send(sender=None)
        wait_until(inbox.count)
        inbox.clear()
        assert sweep_now().woken == [queue]
        assert inbox.count() == 1


def test_a_message_that_comes_twice_does_no_harm(queue: str) -> None:
    """A broker may deliver a wake-up again; there is nothing in it to be done twice."""
    recorder = record_route("order.*", queue=queue)
    EventSignal("order.paid").send(sender=None, n=1)
    assert deliver(queue=queue) == {"route": {"done": 1}}
    assert deliver(queue=queue) == {}
    assert recorder.values() == [1]
