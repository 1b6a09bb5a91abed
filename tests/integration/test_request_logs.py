"""Request logs from a real web server through a real broker to a real worker's table."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from config.stack import Stack
from tests.chaos import stalled_sink

pytestmark = pytest.mark.system

SERVERS = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "EVENTS_DOORBELL_URL")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Web server and worker on SQLite and a broker of their own."""
    workdir = tmp_path_factory.mktemp("stack")
    own = {**dict.fromkeys(SERVERS, ""), "REQUEST_LOG_SINKS": "table,file"}
    with Stack(workdir, env=own, workers=1, processes=("web", "worker")) as started:
        yield started


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until the condition holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def ask(stack: Stack, path: str, correlation_id: str) -> Any:
    """Send a request; return the headers of the response."""
    asked = urllib.request.Request(f"{stack.web}{path}", headers={"X-Request-ID": correlation_id})
    try:
        with urllib.request.urlopen(asked, timeout=10) as response:
            return response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.headers


def rows(stack: Stack, correlation_id: str) -> list[tuple[Any, ...]]:
    """Return path, status and route of the requests of this id."""
    with closing(sqlite3.connect(stack.workdir / "db.sqlite3", timeout=10)) as database:
        return database.execute(
            "SELECT path, status, route FROM signalbox_logs_requestlog"
            " WHERE correlation_id = ? ORDER BY at",
            [correlation_id],
        ).fetchall()


def test_a_request_is_found_by_the_id_of_its_response(stack: Stack) -> None:
    """In the table and in the file; health checks are left out."""
    headers = ask(stack, "/api/nothing?token=xyz", "find-me")
    assert headers["X-Correlation-ID"] == "find-me"
    ask(stack, "/health/live/", "find-me")
    ask(stack, "/admin/login/", "find-me")
    until(lambda: len(rows(stack, "find-me")) == 2)
    first, second = rows(stack, "find-me")
    assert first[:2] == ("/api/nothing", 404)
    assert second[:2] == ("/admin/login/", 200)
    assert second[2] == "admin/login/"
    file = Path(stack.workdir / "log" / "requests.jsonl")
    until(lambda: file.exists() and file.read_text().count("find-me") == 2)
    assert "xyz" not in file.read_text()
    assert json.loads(file.read_text().splitlines()[0])["id"]


def test_a_web_server_that_ends_leaves_no_log_behind(stack: Stack) -> None:
    """SIGTERM, as every deployment sends it, right after the requests."""
    for _ in range(20):
        ask(stack, "/api/nothing", "before-the-end")
    stack.stop_process("web")
    try:
        until(lambda: len(rows(stack, "before-the-end")) == 20)
    finally:
        stack.start_process("web")


def test_a_worker_that_dies_takes_nothing_along_and_writes_nothing_twice(stack: Stack) -> None:
    """What it had taken is written, or still at the broker, which sends it again in time."""
    for number in range(5):
        for _ in range(10):
            ask(stack, "/api/nothing", "through-deaths")
        stack.kill("worker")
        if number % 2:
            stack.wait_ready("worker")
    stack.wait_ready("worker")
    assert stack.valkey
    with closing(redis.Redis.from_url(stack.valkey.url(db=0))) as broker:
        until(lambda: len(rows(stack, "through-deaths")) == 50 or broker.hlen("unacked"), 60)
    assert len(rows(stack, "through-deaths")) <= 50


def test_a_log_that_stalls_costs_records_and_no_memory(tmp_path: Path) -> None:
    """Every record is stored or counted as dropped."""
    phases = stalled_sink.run(tmp_path, seconds=3, buffer=500)
    assert not [problem for phase in phases for problem in phase.problems()]
    assert phases[-1].dropped == phases[-1].accepted
