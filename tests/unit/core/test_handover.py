"""Handing over: whatever the broker does, the caller never waits and every record is counted."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from uuid import uuid4

import pytest
import redis
from kombu import Connection

from config.celery import app
from core.handover import Counts, Handover
from core.handover import handover as module
from tests.unit.core.events.brokers import (
    HangingServer,
    as_broker,
    refused_port,
    silent_port,
)
from tests.unit.core.events.support import wait_until

FAULTS = ["refused", "hanging", "silent", "amqp refused", "amqp hanging"]


@contextmanager
def broker(url: str) -> Iterator[None]:
    """Let Celery use this broker within a block, as the app that threads see."""
    former, app.conf.broker_url = app.conf.broker_url, url
    try:
        yield
    finally:
        app.conf.broker_url = former


@pytest.fixture
def queue() -> str:
    """A queue of this test alone."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def make(queue: str) -> Iterator[Callable[..., Handover]]:
    """Makes handovers to that queue which leave nothing behind."""
    made: list[Handover] = []

    def made_with(**options: Any) -> Handover:
        made.append(Handover("facts", task="facts.take", queue=queue, **{"every": 0.01, **options}))
        return made[-1]

    yield made_with
    for handover in made:
        handover._report = lambda: None
        handover._buffer.drop_all()
        handover._broker.hang_up()


@pytest.fixture
def inbox(redis_url: str, queue: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The bodies of the messages that wait, on a real broker that is in place."""
    with closing(redis.Redis.from_url(redis_url)) as client, broker(as_broker(redis_url)):

        def bodies() -> list[dict[str, Any]]:
            texts = [json.loads(text) for text in reversed(client.lrange(queue, 0, -1))]
            return [json.loads(base64.b64decode(text["body"]))[1] for text in texts]

        yield bodies
        client.delete(queue, f"_kombu.binding.{queue}")


@pytest.mark.parametrize(
    "given",
    [{"task": None}, {"task": ""}, {"queue": 5}, {"every": 0}, {"every": "1"}, {"batch": -1},
     {"every": float("nan")}, {"capacity": float("inf")}, {"most_waiting": None}],
    ids=str,
)  # fmt: skip
def test_what_no_handover_can_be_made_of(given: dict[str, Any]) -> None:
    """The option is named where it is written, instead of failing in a thread."""
    option = next(iter(given))
    with pytest.raises((TypeError, ValueError), match=rf"Handover\({option}="):
        Handover("x", **{"task": "x", "queue": "x"} | given)


def adds_up(counts: Counts) -> bool:
    """Tell whether no record is missing."""
    return counts.accepted == counts.shipped + counts.dropped + counts.buffered


def test_records_arrive_in_batches_and_in_order(make: Any, inbox: Any) -> None:
    """What many threads hand over becomes a few messages with everything in them."""
    handover = make(every=0.05)

    def hand_over(thread: int) -> None:
        for number in range(250):
            handover.hand_over({"thread": thread, "number": number})

    threads = [threading.Thread(target=hand_over, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handover.flush(10)
    assert handover.status() == Counts(accepted=1000, shipped=1000)
    messages = inbox()
    assert 2 <= len(messages) < 30
    records = [record for message in messages for record in message["records"]]
    for thread in range(4):
        assert [r["number"] for r in records if r["thread"] == thread] == list(range(250))
    assert messages[0]["source"]["dropped"] == 0


def test_a_message_is_a_task_of_celery(make: Any, queue: str, rabbitmq_url: str) -> None:
    """On RabbitMQ too; what is in it stays out of what Flower shows."""
    with broker(rabbitmq_url), Connection(rabbitmq_url) as connection:
        handover = make()
        handover.hand_over({"secret": "xyz", "at": "now"})
        assert handover.flush(10)
        channel = connection.channel()
        try:
            message = channel.message_to_python(channel.basic_get(queue, no_ack=True))
            assert message.headers["task"] == "facts.take"
            assert "xyz" not in str(message.headers)
            assert message.decode()[1]["records"] == [{"secret": "xyz", "at": "now"}]
            handover._broker._asked_at = 0.0
            assert handover._broker.waiting() == 0
        finally:
            channel.queue_delete(queue)


def test_what_comes_while_a_round_ships_waits_for_the_next(make: Any, inbox: Any) -> None:
    """Otherwise a steady stream would become messages of a few records, one after the other."""
    handover = make(every=0.3)
    publish = handover._broker.publish

    def meanwhile(*args: Any) -> None:
        publish(*args)
        handover.hand_over({"number": "late"})

    handover._broker.publish = meanwhile
    handover.hand_over({"number": 1})
    wait_until(lambda: len(inbox()) == 1)
    assert handover.status().buffered == 1
    wait_until(lambda: len(inbox()) == 2)


def test_messages_are_bounded(make: Any, inbox: Any) -> None:
    """By records and by bytes; what alone is larger is dropped and counted."""
    handover = make(every=5, batch=10, batch_bytes=1000)
    for _ in range(25):
        handover.hand_over({"n": "small"})
    for _ in range(3):
        handover.hand_over({"n": "x" * 600})
    handover.hand_over({"n": "x" * 1000})
    handover.hand_over({"n": object()})
    assert handover.flush(10)
    assert [len(message["records"]) for message in inbox()] == [10, 10, 6, 1, 1]
    assert handover.status() == Counts(accepted=30, shipped=28, dropped=2)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_broker_costs_the_caller_nothing_and_the_oldest_their_place(
    fault: str, make: Any
) -> None:
    """No call takes long, memory is bounded, and the counts are exact all the time."""
    with ExitStack() as stack:
        if fault.endswith("refused"):
            port = refused_port()
        elif fault.endswith("hanging"):
            port = stack.enter_context(closing(HangingServer())).port
        else:
            port = stack.enter_context(silent_port())
        scheme = "amqp" if "amqp" in fault else "redis"
        stack.enter_context(broker(f"{scheme}://127.0.0.1:{port}//"))
        handover = make(capacity=100)
        slowest = 0.0
        for number in range(1000):
            began = time.perf_counter()
            handover.hand_over({"number": number})
            slowest = max(slowest, time.perf_counter() - began)
        wait_until(lambda: handover._failing)
        for number in range(1000, 1500):
            handover.hand_over({"number": number})
        assert slowest < 0.5
        counts = handover.status()
        assert counts.accepted == 1500
        assert counts.buffered == 100
        assert adds_up(counts)
        handover.flush(0.1)
        assert json.loads(handover._buffer.take(records=1, size=1000)[0])["number"] == 1400
        began = time.monotonic()
        handover.close()
        assert time.monotonic() - began < 2.5
        assert handover.status() == Counts(accepted=1500, dropped=1500)


def test_what_waited_arrives_when_the_broker_is_back(
    make: Any, inbox: Any, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In order, each once, with how many were dropped; an outage is two lines in the log."""
    caplog.set_level(logging.INFO)
    with broker(f"redis://127.0.0.1:{refused_port()}/0"):
        handover = make(capacity=50)
        for number in range(70):
            handover.hand_over({"number": number})
        wait_until(lambda: handover._failing)
        handover.flush(0.2)
    wait_until(lambda: handover.status().shipped == 50, seconds=15)
    (message,) = inbox()
    assert [record["number"] for record in message["records"]] == list(range(20, 70))
    assert message["source"]["dropped"] == 20
    own = [r.getMessage() for r in caplog.records if r.name == "core.handover.handover"]
    assert sum("cannot be shipped" in line for line in own) == 1
    assert sum("shipped again" in line for line in own) == 1
    assert sum("20 records were dropped" in line for line in own) == 1


def test_workers_that_stall_bound_the_broker_too(make: Any, inbox: Any) -> None:
    """While too many messages wait nothing is sent; the buffer fills, and the oldest go."""
    handover = make(capacity=40, batch=10, most_waiting=3)
    for number in range(100):
        handover.hand_over({"number": number})
        if number % 10 == 9:
            handover.flush(5)
    assert len(inbox()) == 3
    counts = handover.status()
    assert (counts.shipped, counts.buffered, counts.dropped) == (30, 40, 30)
    assert adds_up(counts)


def test_a_publish_of_unknown_outcome_counts_as_not_shipped(make: Any, inbox: Any) -> None:
    """The answer was lost: the message is sent again, so that the task may get it twice."""
    handover = make()
    publish = handover._broker.publish

    def loses_its_answer(*args: Any) -> None:
        handover._broker.publish = publish
        publish(*args)
        raise ConnectionError("the answer was lost")

    handover._broker.publish = loses_its_answer
    handover.hand_over({"number": 1})
    wait_until(lambda: handover.status().shipped == 1, seconds=10)
    assert handover.status() == Counts(accepted=1, shipped=1)
    assert [message["records"] for message in inbox()] == [[{"number": 1}]] * 2


def test_a_child_leaves_to_its_parent_what_that_has_gathered(make: Any, inbox: Any) -> None:
    """Each record arrives once, those of the child too."""
    handover = make(every=0.3)
    handover.hand_over({"from": "parent"})
    child = os.fork()
    if not child:
        try:
            handover.hand_over({"from": "child"})
            handover.flush(5)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert handover.flush(5)
    found = [record["from"] for message in inbox() for record in message["records"]]
    assert sorted(found) == ["child", "parent"]


ENDS = """
import os, sys
os.environ["CELERY_BROKER_URL"], queue, kind = sys.argv[1:]
import django; django.setup()
from core.handover import Handover
handover = Handover("facts", task="facts.take", queue=queue, every=60)
def work():
    handover.hand_over({"n": 1})
if kind == "main":
    work()
elif kind == "granian":
    import multiprocessing
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start(); child.join()
else:
    import billiard
    child = billiard.get_context("fork").Process(target=work)
    child.start(); child.join()
"""


@pytest.mark.parametrize("kind", ["main", "granian", "celery"])
def test_the_end_of_a_process_ships_what_is_left(
    kind: str, queue: str, inbox: Any, redis_url: str
) -> None:
    """Of a web server's process, of one of granian's, and of one of Celery's pool."""
    _run(as_broker(redis_url), queue, kind)
    assert [message["records"] for message in inbox()] == [[{"n": 1}]]


def test_the_end_of_a_process_does_not_wait_for_a_broker_that_hangs(queue: str) -> None:
    """It drops what is left, and says so."""
    with closing(HangingServer()) as server:
        began = time.monotonic()
        _run(f"redis://127.0.0.1:{server.port}/0", queue, "main")
        hanging = time.monotonic() - began
    began = time.monotonic()
    _run(f"redis://127.0.0.1:{refused_port()}/0", queue, "main")
    assert hanging < time.monotonic() - began + 5


def _run(url: str, queue: str, kind: str) -> None:
    _python(ENDS, url, queue, kind)


def _python(script: str, *arguments: str) -> str:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": "."}
    command = [sys.executable, "-c", script, *arguments]
    run = subprocess.run(
        command, env=environment, check=True, timeout=60, stdout=subprocess.PIPE, text=True
    )
    return run.stdout


WAITS = """
import os, sys
os.environ["CELERY_BROKER_URL"], queue = sys.argv[1:]
import django; django.setup()
import psutil
from core.handover import Handover
handover = Handover("facts", task="facts.take", queue=queue)
def work(records):
    for number in range(records):
        handover.hand_over({"path": "x" * 200, "number": number})
        # As a request makes and forgets.
        [bytes(size) for size in range(200, 4000, 300)]
work(500)
before = psutil.Process().memory_info().rss
work(9000)
print((psutil.Process().memory_info().rss - before) / 2**20, flush=True)
os._exit(0)
"""


def test_what_waits_takes_the_memory_of_its_bytes(queue: str) -> None:
    """Nine thousand records of 230 bytes take some MiB at most, however long the broker is away."""
    assert float(_python(WAITS, f"redis://127.0.0.1:{refused_port()}/0", queue)) < 10


def test_handing_over_is_cheap_beside_busy_threads(make: Any, inbox: Any) -> None:
    """Far less than a tenth of a millisecond, on the average of a busy process."""
    handover = make(every=0.2)
    record = {"path": "/api/tickets/5", "status": 200, "user_id": "7", "correlation_id": "x" * 36}
    busy = threading.Event()

    def work() -> None:
        while not busy.is_set():
            sum(range(1000))

    other = threading.Thread(target=work)
    other.start()
    try:
        costs = []
        for _ in range(2000):
            began = time.thread_time()
            handover.hand_over(record)
            costs.append(time.thread_time() - began)
    finally:
        busy.set()
        other.join()
    assert sum(costs) / len(costs) < 100e-6
    assert module._FAREWELL < 3
