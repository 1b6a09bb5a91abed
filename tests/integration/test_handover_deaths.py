"""When a worker's process is killed: what it had in its hands another one gets, within bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any
from uuid import uuid4

import psutil
import pytest
import redis
from celery import Celery

from config.demo.fakes import Failure, FakeServer, fake_server
from config.stack import Stack

pytestmark = pytest.mark.system

SERVERS = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "EVENTS_DOORBELL_URL")
# It keeps whoever sends it to PostHog waiting, until that is killed.
STALL: Any = {"delay": 120.0, "drop": True}


@pytest.fixture(scope="module")
def posthog() -> Iterator[FakeServer]:
    """A fake PostHog."""
    with fake_server() as server:
        yield server


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, posthog: FakeServer) -> Iterator[Stack]:
    """A worker on SQLite and a broker of its own."""
    env = {
        **dict.fromkeys(SERVERS, ""),
        "CELERY_WORKER_CONCURRENCY": "1",
        "POSTHOG_API_KEY": "phc_test",
        "POSTHOG_HOST": posthog.url,
        "POSTHOG_TIMEOUT_SECONDS": "120",
    }
    workdir = tmp_path_factory.mktemp("stack")
    with Stack(workdir, env=env, workers=1, processes=("worker",)) as started:
        yield started


@pytest.fixture(autouse=True)
def anew(posthog: FakeServer) -> None:
    """Nothing has arrived and nothing is programmed."""
    posthog.reset()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until the condition holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.02)


def send(stack: Stack) -> str:
    """Send a batch of one record, as web processes do; return its uuid."""
    record: dict[str, Any] = {
        "uuid": str(uuid4()),
        "at": "2026-01-01T12:00:00+00:00",
        "method": "GET",
        "route": "secret/",
        "status": 200,
        "duration_ms": 1.0,
        "user_id": "7",
        "tenant_id": None,
        "sample_rate": 1.0,
    }
    with Celery("test", broker=stack.environment["CELERY_BROKER_URL"], set_as_current=False) as app:
        kwargs = {"records": [record], "source": {}}
        app.send_task("analytics.send_requests", kwargs=kwargs, queue="analytics")
    return str(record["uuid"])


def kill_the_pool(stack: Stack) -> None:
    """Kill the processes that run tasks, and not the one that watches them."""
    for child in psutil.Process(stack.pid("worker-1")).children():
        with suppress(psutil.NoSuchProcess):
            child.kill()


def nothing_is_left(stack: Stack) -> bool:
    """Tell whether the broker has no batch, neither waiting nor in somebody's hands."""
    assert stack.valkey
    with closing(redis.Redis.from_url(stack.valkey.url(db=0))) as broker:
        return not broker.llen("analytics") and not broker.hlen("unacked")


def test_a_batch_comes_again_when_its_process_is_killed(stack: Stack, posthog: FakeServer) -> None:
    """Soon, from the same worker, and nothing shows what is in it."""
    posthog.fail("posthog", Failure(**STALL))
    sent = send(stack)
    until(lambda: posthog.requests("posthog") == 1)
    kill_the_pool(stack)
    until(lambda: posthog.received("posthog"))
    assert [item.key for item in posthog.received("posthog")] == [sent]
    until(lambda: nothing_is_left(stack))
    assert "secret/" not in stack.log("worker-1")


def test_a_batch_that_kills_whoever_takes_it_is_given_up(stack: Stack, posthog: FakeServer) -> None:
    """After three repeats, with a line in the log; the next batch arrives."""
    posthog.fail("posthog", Failure(times=4, **STALL))
    send(stack)
    for deaths in range(1, 5):
        until(lambda wanted=deaths: posthog.requests("posthog") == wanted)
        kill_the_pool(stack)
    until(lambda: nothing_is_left(stack))
    assert "Task handler raised error: WorkerLostError" in stack.log("worker-1")
    sent = send(stack)
    until(lambda: posthog.received("posthog"))
    assert [item.key for item in posthog.received("posthog")] == [sent]
