"""The doorbell: how a delivery task hears of more work without a message."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import current_app

from core.events import EventSignal, worker
from core.events.doorbell import Doorbell, Listener, doorbell_url
from core.events.tasks import deliver
from tests.unit.core.events.brokers import (
    HangingServer,
    Inbox,
    as_broker,
    refused_port,
    using_broker,
)
from tests.unit.core.events.support import committing, in_threads, record_route, wait_until


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
def bell(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Doorbell:
    """A doorbell on that broker, patient enough for a machine that is busy."""
    monkeypatch.setattr("core.events.doorbell._PATIENCE", 10)
    return Doorbell()


def listen(bell: Doorbell, queue: str) -> Listener:
    """Return a listener that has put up its sign."""
    listener = bell.listen([queue])
    assert listener is not None
    listener.come()
    return listener


def soon(seconds: float = 5) -> float:
    """Return a moment that is far enough away."""
    return time.monotonic() + seconds


def test_with_nobody_listening_a_message_is_due(bell: Doorbell, queue: str) -> None:
    """The ringer learns that nobody will look."""
    assert bell.ring([queue]) == {queue: False}


def test_while_a_message_is_under_way_no_second_one_is_sent(bell: Doorbell, queue: str) -> None:
    """The task that answers the first looks for all the work there is then."""
    bell.ring([queue])
    assert bell.ring([queue]) == {queue: True}
    wait_until(lambda: bell.ring([queue]) == {queue: False})


@committing
@pytest.mark.parametrize(("pool_lingers", "seconds"), [(False, 0.25), (True, 0)])
def test_a_task_that_cannot_stay_answers_the_message_as_well(
    bell: Doorbell,
    queue: str,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    pool_lingers: bool,
    seconds: float,
) -> None:
    """It has looked by now, so whoever comes later needs a message of their own."""
    settings.EVENTS_LINGER_SECONDS = seconds
    monkeypatch.setattr(worker, "_may_linger", pool_lingers)
    monkeypatch.setattr("core.events.doorbell._UNDER_WAY_MS", 60_000)
    assert bell.ring([queue]) == {queue: False}
    deliver(queue=queue)
    assert bell.ring([queue]) == {queue: False}


@pytest.mark.parametrize("query", ["unknown=1", "socket_timeout=soon"])
def test_an_address_that_no_client_takes_is_no_doorbell(query: str, settings: Any) -> None:
    """Wake-ups are messages then, and deliveries go on."""
    settings.EVENTS_DOORBELL_URL = f"redis://127.0.0.1:{refused_port()}/0?{query}"
    bell = Doorbell()
    assert bell.ring(["a"]) == {"a": False}
    assert bell.listen(["a"]) is None
    bell.answer(["a"])


def test_a_listener_hears_the_bell(bell: Doorbell, queue: str, settings: Any) -> None:
    """A ring ends its waiting, and the ringer need not send a message."""
    settings.EVENTS_LINGER_SECONDS = 5
    listener = listen(bell, queue)
    assert bell.ring([queue]) == {queue: True}
    started = time.monotonic()
    assert listener.wait(soon()) is True
    assert time.monotonic() - started < 2


def test_installations_that_share_a_redis_do_not_hear_each_other(
    bell: Doorbell, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prefix that keeps their messages apart keeps their bells apart."""
    listener = listen(bell, queue)
    options = {**current_app.conf.broker_transport_options, "global_keyprefix": f"{queue}-other-"}
    with monkeypatch.context() as other:
        other.setitem(current_app.conf, "broker_transport_options", options)
        assert bell.ring([queue]) == {queue: False}
    assert bell.ring([queue]) == {queue: True}
    listener.leave()


def test_waiting_ends_by_itself(bell: Doorbell, queue: str, settings: Any) -> None:
    """Without a ring a task does not stay longer than it may."""
    settings.EVENTS_LINGER_SECONDS = 0.1
    listener = listen(bell, queue)
    assert listener.wait(soon()) is False
    assert listener.wait(time.monotonic()) is False


def test_who_puts_up_a_sign_late_looks_once_more(bell: Doorbell, queue: str) -> None:
    """Work may have come between its last look and its sign."""
    listener = bell.listen([queue])
    assert listener is not None
    assert listener.wait(soon()) is True


def test_two_tasks_listen_for_a_queue(bell: Doorbell, queue: str, settings: Any) -> None:
    """A third one need not stay."""
    settings.EVENTS_LINGER_SECONDS = 0.1
    first, second, third = (listen(bell, queue) for _ in range(3))
    assert third.wait(soon()) is False
    assert third.leave() is False
    assert first.leave() is True
    assert bell.ring([queue]) == {queue: True}
    assert second.wait(soon()) is True
    assert second.leave() is True
    assert bell.ring([queue]) == {queue: False}


def test_a_second_task_is_called_when_the_first_is_busy(bell: Doorbell, queue: str) -> None:
    """A ring that nobody came to hear calls one more, once."""
    first = listen(bell, queue)
    assert bell.ring([queue]) == {queue: True}
    assert bell.ring([queue]) == {queue: False}
    assert bell.ring([queue]) == {queue: True}
    second = listen(bell, queue)
    assert bell.ring([queue]) == {queue: True}
    assert first.leave() is True
    assert second.leave() is True


def test_the_task_that_waits_hears_the_bell(bell: Doorbell, queue: str, settings: Any) -> None:
    """Of two listeners one handles what there is, and the ring reaches the other."""
    settings.EVENTS_LINGER_SECONDS = 5
    listen(bell, queue)
    idle = listen(bell, queue)
    assert bell.ring([queue]) == {queue: True}
    assert idle.wait(soon()) is True


def test_one_ring_is_enough_for_all_queues_of_a_task(
    bell: Doorbell, queue: str, settings: Any
) -> None:
    """Who is awake looks at all that it serves; who serves less is woken for that by itself."""
    settings.EVENTS_LINGER_SECONDS = 0.3
    other = f"{queue}-other"
    both, one = bell.listen([queue, other]), bell.listen([other])
    assert both is not None
    assert one is not None
    both.come()
    one.come()
    assert bell.ring([queue, other]) == {queue: True, other: True}
    assert both.wait(soon()) is True
    assert one.wait(soon()) is True
    assert both.wait(soon()) is False


def test_leaving_takes_down_only_ones_own_sign(bell: Doorbell, queue: str, inbox: Inbox) -> None:
    """Whoever came after a sign expired keeps theirs."""
    first = listen(bell, queue)
    inbox.forget_signs()
    second = listen(bell, queue)
    first.leave()
    assert bell.ring([queue]) == {queue: True}
    second.leave()
    assert bell.ring([queue]) == {queue: False}


def test_the_sign_of_a_task_that_died_expires(bell: Doorbell, queue: str, settings: Any) -> None:
    """After less than a second messages are sent again."""
    settings.EVENTS_LINGER_SECONDS = 0.1
    listen(bell, queue)
    assert bell.ring([queue]) == {queue: True}
    wait_until(lambda: bell.ring([queue]) == {queue: False}, seconds=3)


def test_nothing_is_lost_between_the_last_look_and_the_next_message(
    bell: Doorbell, queue: str, settings: Any
) -> None:
    """Whoever rang had committed before: the listener sees it, or the ringer sends a message."""
    settings.EVENTS_LINGER_SECONDS = 0.05
    lock, work, handled = threading.Lock(), [0], [0]
    messages = threading.Semaphore(0)
    rounds = 300

    def take() -> None:
        with lock:
            handled[0] += work[0]
            work[0] = 0

    def ring(index: int) -> None:
        if index:
            answer()
            return
        for _ in range(rounds):
            with lock:
                work[0] += 1
            if not bell.ring([queue])[queue]:
                messages.release()

    def answer() -> None:
        deadline = soon(20)
        while handled[0] < rounds and time.monotonic() < deadline:
            if not messages.acquire(timeout=1):
                return
            listener = bell.listen([queue])
            if listener is None:
                # The bell is being left alone after an error; a task works without it as well.
                take()
                continue
            listener.come()
            take()
            while listener.wait(soon(0.2)):
                take()
            if listener.leave():
                take()

    in_threads(3, ring)
    assert handled[0] == rounds


def test_a_connection_that_broke_while_idle_is_replaced(
    bell: Doorbell, queue: str, redis_url: str
) -> None:
    """As after a restart of the server, or its limit for idle clients: no need to rest."""
    bell.ring([queue])
    server = bell._connect()
    assert server is not None
    with closing(redis.Redis.from_url(redis_url)) as admin:
        admin.client_kill_filter(_id=str(server.client.client_id()))
    assert bell.ring([queue]) == {queue: True}
    assert bell._resting_until == 0.0


@pytest.mark.parametrize("kind", ["refused", "hanging"])
def test_a_redis_that_does_not_answer_is_left_alone(kind: str) -> None:
    """A message is due then; for some seconds nobody tries again."""
    with closing(HangingServer()) as server:
        port = server.port if kind == "hanging" else refused_port()
        with using_broker(f"redis://127.0.0.1:{port}/0"):
            bell = Doorbell()
            started = time.monotonic()
            assert bell.ring(["a", "b"]) == {"a": False, "b": False}
            assert time.monotonic() - started < 3
            started = time.monotonic()
            assert bell.ring(["a"]) == {"a": False}
            assert bell.listen(["a"]) is None
            assert time.monotonic() - started < 0.1


def test_without_a_redis_there_is_no_doorbell() -> None:
    """RabbitMQ and others get plain messages."""
    with using_broker("amqp://guest:guest@127.0.0.1:1//"):
        bell = Doorbell()
        assert doorbell_url() is None
        assert bell.listen(["a"]) is None
        assert bell.ring(["a"]) == {"a": False}


def test_lingering_can_be_switched_off(bell: Doorbell, queue: str, settings: Any) -> None:
    """With zero seconds nobody listens."""
    settings.EVENTS_LINGER_SECONDS = 0
    assert bell.listen([queue]) is None


@pytest.mark.parametrize(
    ("broker", "url"),
    [
        ("redis://host:1/2", "redis://host:1/2"),
        ("rediss://host:1/2", "rediss://host:1/2"),
        (
            "rediss://host:1/2?ssl_cert_reqs=CERT_NONE&a=b",
            "rediss://host:1/2?ssl_cert_reqs=none&a=b",
        ),
        ("redis+socket:///tmp/s?virtual_host=3", "unix:///tmp/s?db=3"),
        ("redis+socket:///tmp/s", "unix:///tmp/s"),
        ("memory://", None),
    ],
)
def test_the_broker_carries_the_doorbell(broker: str, url: str | None) -> None:
    """If it is a Redis or Valkey; the address is written the way that its client wants it."""
    with using_broker(broker):
        assert doorbell_url() == url


def test_a_redis_of_its_own(settings: Any) -> None:
    """A setting names the Redis when the broker is something else."""
    settings.EVENTS_DOORBELL_URL = "redis://bell:1/0"
    assert doorbell_url() == "redis://bell:1/0"


@committing
def test_a_task_that_lingers_takes_what_is_fired_meanwhile(
    inbox: Inbox, queue: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steady traffic needs one message, not one per event."""
    settings.EVENTS_TASK_SECONDS, settings.EVENTS_LINGER_SECONDS = 10.0, 2.0
    monkeypatch.setattr(worker, "_may_linger", True)
    recorder = record_route("order.*", queue=queue)
    signal = EventSignal("order.paid")
    summary: list[Any] = []

    def work(index: int) -> None:
        if index:
            summary.append(deliver(queue=queue))
            return
        for n in range(20):
            signal.send(sender=None, n=n)
            wait_until(lambda n=n: len(recorder.events) == n + 1)

    in_threads(2, work)
    assert summary == [{"route": {"done": 20}}]
    assert inbox.count() <= 1
