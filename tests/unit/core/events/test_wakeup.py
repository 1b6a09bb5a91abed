"""Wake-ups: one small message per queue, off the caller's path, whatever the broker does."""

from __future__ import annotations

import base64
import json
import logging
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from core.events import EventSignal, wakeup
from core.events.wakeup import Breaker, Publisher, Wakeups
from tests.unit.core.events.brokers import (
    HangingServer,
    Inbox,
    as_broker,
    refused_port,
    silent_port,
    using_broker,
)
from tests.unit.core.events.support import (
    committing,
    deliveries,
    drain,
    record_route,
    roll_back,
    settled,
    wait_until,
)

FAULTS = ["refused", "hanging", "silent", "amqp refused", "amqp hanging", "no such host"]


@pytest.fixture
def queue() -> str:
    """A queue of this test alone."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def inbox(redis_url: str, queue: str) -> Iterator[Inbox]:
    """What arrives on that queue, with a real broker in place."""
    with closing(Inbox(redis_url, queue)) as found, using_broker(as_broker(redis_url)):
        yield found


@pytest.fixture
def broken_broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a broker that cannot be used, in place."""
    with ExitStack() as stack:
        if request.param.endswith("refused"):
            port = refused_port()
        elif request.param.endswith("hanging"):
            port = stack.enter_context(closing(HangingServer())).port
        else:
            port = stack.enter_context(silent_port())
        host = "127.0.0.1"
        if request.param == "no such host":
            host = "no-such-host.invalid"
        url = f"redis://{host}:{port}/0"
        if request.param.startswith("amqp"):
            url = f"amqp://guest:guest@{host}:{port}//"
        stack.enter_context(using_broker(url))
        yield url


def milliseconds(fire: Callable[[], Any], number: int) -> list[float]:
    """Return how long each of so many firings took."""
    taken = []
    for _ in range(number):
        started = time.perf_counter()
        fire()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


@committing
@pytest.mark.parametrize("broken_broker", FAULTS, indirect=True)
def test_a_broken_broker_costs_a_caller_next_to_nothing(broken_broker: str) -> None:
    """No exception and at most 10 ms more, for the first events as for the later ones."""
    signal = EventSignal("order.paid")
    fire = lambda: signal.send(sender=None, n=1)  # noqa: E731 # timed below
    usual = statistics.median(milliseconds(fire, 30))
    record_route("order.*")
    first = milliseconds(fire, 10)
    wait_until(lambda: wakeup._publisher.breaker.is_open)
    later = milliseconds(fire, 30)
    # The median, since other processes of this machine interrupt single firings.
    assert statistics.median(first) < usual + 10
    assert statistics.median(later) < usual + 10
    assert max(first) < 900
    assert len(deliveries()) == 40
    drain()
    assert settled() == {"done": 40}


@committing
@pytest.mark.parametrize("broken_broker", ["amqp refused"], indirect=True)
def test_a_broken_broker_is_logged_without_its_password(
    broken_broker: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which queues were not woken and that nothing is lost, once per opening."""
    record_route("order.*", queue="audit")
    signal = EventSignal("order.paid")
    with caplog.at_level(logging.WARNING):
        signal.send(sender=None)
        wait_until(lambda: wakeup._publisher.breaker.is_open)
        for _ in range(20):
            signal.send(sender=None)
        wait_until(lambda: wakeup._publisher.dropped >= 2)
    messages = [r.getMessage() for r in caplog.records if "were not sent" in r.getMessage()]
    assert len(messages) == 1
    assert "audit" in messages[0]
    assert "sweep" in messages[0]
    assert "guest:guest" not in caplog.text


@pytest.mark.parametrize("broken_broker", ["silent", "amqp hanging"], indirect=True)
def test_publishing_is_bounded_in_time(broken_broker: str) -> None:
    """A broker may keep the sending thread waiting for a few seconds, not for ever."""
    publisher = Publisher()
    started = time.monotonic()
    assert publisher.publish(["default"]) is False
    assert time.monotonic() - started < 6
    assert publisher.breaker.is_open
    started = time.monotonic()
    assert publisher.publish(["default", "audit"]) is False
    assert time.monotonic() - started < 0.1
    assert publisher.dropped == 3


def test_an_open_breaker_does_not_even_knock() -> None:
    """While it is open nobody connects."""
    with closing(HangingServer()) as server, using_broker(f"redis://127.0.0.1:{server.port}/0"):
        publisher = Publisher()
        publisher.publish(["default"])
        known = server.connections
        for _ in range(10):
            publisher.publish(["default"])
        assert server.connections == known


def test_a_breaker_opens_for_longer_each_time_and_closes_on_success() -> None:
    """The pause doubles to a limit, and one success forgets it all."""
    breaker = Breaker()
    assert not breaker.is_open
    pauses = [breaker.failed() for _ in range(8)]
    assert breaker.is_open
    assert pauses[:3] == [1, 2, 4]
    assert pauses[-1] == pauses[-2] <= 30
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.failed() == 1


@committing
def test_a_wake_up_says_only_which_queue_has_work(inbox: Inbox, queue: str) -> None:
    """It carries no payload, no expiry and no time to wait for."""
    record_route("order.*", queue=queue)
    EventSignal("order.paid").send(sender=None, secret="do not show")
    wait_until(inbox.count)
    (message,) = inbox.messages()
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([], {"queue": queue})
    headers = message["headers"]
    assert headers["task"] == "events.deliver"
    assert (headers["eta"], headers["expires"]) == (None, None)
    assert message["properties"]["delivery_mode"] == 1
    assert "do not show" not in json.dumps(message)


@committing
def test_many_events_are_one_wake_up_per_queue(inbox: Inbox, queue: str) -> None:
    """However many events and routes there were within a few milliseconds."""
    for number in range(5):
        record_route("order.*", name=f"route-{number}", queue=queue)
    signal = EventSignal("order.paid")
    with transaction.atomic():
        for n in range(50):
            signal.send(sender=None, n=n)
        assert inbox.count() == 0
    wait_until(inbox.count)
    wakeup._wakeups.flush(5)
    assert inbox.count() == 1


@committing
def test_a_rollback_wakes_nobody(inbox: Inbox, queue: str) -> None:
    """Neither does a savepoint that was rolled back."""
    record_route("order.*", queue=queue)
    signal = EventSignal("order.paid")
    roll_back(lambda: signal.send(sender=None))
    with transaction.atomic():
        roll_back(lambda: signal.send(sender=None))
    EventSignal("order.shipped").send(sender=None)
    wait_until(inbox.count)
    wakeup._wakeups.flush(5)
    assert inbox.count() == 1


@committing
def test_an_event_without_a_route_wakes_nobody(inbox: Inbox, queue: str) -> None:
    """Nor does one that all routes decline."""
    record_route("order.*", queue=queue, when=lambda event: False)
    EventSignal("order.paid").send(sender=None)
    EventSignal("user.left").send(sender=None)
    wakeup._wakeups.flush(5)
    assert inbox.count() == 0


@committing
def test_another_hook_that_fails_does_not_take_the_wake_up_along(inbox: Inbox, queue: str) -> None:
    """Nor is the wake-up the one that takes others along: all hooks of a commit run."""
    record_route("order.*", queue=queue)
    ran: list[int] = []

    def fail() -> None:
        raise RuntimeError("somebody else's hook")

    with transaction.atomic():
        transaction.on_commit(fail, robust=True)
        EventSignal("order.paid").send(sender=None)
        transaction.on_commit(lambda: ran.append(1))
    wait_until(inbox.count)
    assert ran == [1]


def test_a_broker_that_comes_back_is_used_again(redis_url: str, queue: str) -> None:
    """After the breaker's pause wake-ups go out as before."""
    with closing(Inbox(redis_url, queue)) as inbox:
        publisher = Publisher()
        with using_broker(f"redis://127.0.0.1:{refused_port()}/0"):
            assert publisher.publish([queue]) is False
        with using_broker(as_broker(redis_url)):
            assert publisher.publish([queue]) is False
            publisher.breaker._open_until = 0.0
            assert publisher.publish([queue]) is True
        assert inbox.count() == 1


@committing
def test_a_forked_process_wakes_by_itself(inbox: Inbox, queue: str) -> None:
    """Neither the thread nor the connection of its parent is of use to it."""
    from tests.unit.core.events.support import join, processes

    record_route("order.*", queue=queue)
    signal = EventSignal("order.paid")
    signal.send(sender=None)
    wait_until(inbox.count)
    inbox.clear()

    def fire(index: int) -> None:
        signal.send(sender=None, n=os.getpid())
        wait_until(inbox_of_child.count)

    inbox_of_child = inbox
    with processes(1, fire) as started:
        join(started)
    assert inbox.count() >= 1


@committing
def test_firing_from_many_threads(inbox: Inbox, queue: str) -> None:
    """Threads share one sender, and every event is recorded."""
    from tests.unit.core.events.support import in_threads

    record_route("order.*", queue=queue)
    signal = EventSignal("order.paid")
    in_threads(6, lambda index: [signal.send(sender=None, n=n) for n in range(20)])
    assert len(deliveries()) == 120
    wait_until(inbox.count)
    senders = [thread for thread in threading.enumerate() if thread.name == "signalbox-wakeups"]
    assert wakeup._wakeups._thread in senders


class SlowWakeups(Wakeups):
    """Wake-ups that take until they are told."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on, self.sent = threading.Event(), threading.Event(), list[str]()

    def _send(self, queues: list[str]) -> None:
        self.begun.set()
        self.go_on.wait(20)
        self.sent += queues


def test_the_end_of_a_process_waits_for_what_is_being_sent() -> None:
    """A command that fires and ends at once still wakes somebody, if the broker is quick."""
    wakeups = SlowWakeups()
    wakeups.ring(["default"])
    assert wakeups.begun.wait(20)
    threading.Timer(0.05, wakeups.go_on.set).start()
    wakeups.flush(10)
    assert wakeups.sent == ["default"]


def test_the_end_of_a_process_does_not_wait_for_ever() -> None:
    """A broker that hangs cannot keep a process from ending."""
    wakeups = SlowWakeups()
    wakeups.ring(["default"])
    assert wakeups.begun.wait(20)
    started = time.monotonic()
    wakeups.flush(0.1)
    assert time.monotonic() - started < 2
    wakeups.go_on.set()


@committing
def test_a_slow_broker_costs_a_caller_next_to_nothing() -> None:
    """Whether it takes its time for each answer or is gone is all the same to who fires."""
    record_route("order.*")
    signal = EventSignal("order.paid")
    usual = statistics.median(milliseconds(lambda: signal.send(sender=None, n=1), 20))
    server = HangingServer(reply=b"+OK\r\n", after=0.3)
    with closing(server), using_broker(f"redis://127.0.0.1:{server.port}/0"):
        taken = milliseconds(lambda: signal.send(sender=None, n=1), 30)
    assert statistics.median(taken) < usual + 10
    assert server.connections > 0
