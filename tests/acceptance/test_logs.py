"""Web, worker and beat log in one format, and a request can be followed through their lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests

from core.logs import parse_line
from tests.acceptance.support import PATIENCE, Site, until
from tests.nodes import LocalProcess

pytestmark = pytest.mark.system

FIXED = ["time", "level", "service", "logger", "correlation_id", "message"]
FORMATS = [{"LOG_FORMAT": "text"}, {"LOG_FORMAT": "json"}]


@pytest.fixture
def env(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """One file for the lines of all processes, besides their standard error."""
    return {**env, "LOG_FILE": str(tmp_path / "log" / "all.log")}


@pytest.fixture
def beat(site: Site, env: dict[str, str], tmp_path: Path) -> Iterator[LocalProcess]:
    """A beat beside the site."""
    command = [sys.executable, "-m", "celery", "-A", "config.celery", "beat"]
    process = LocalProcess("beat", command, env, tmp_path / "log" / "beat.log")
    yield process
    process.remove()


@pytest.mark.parametrize("variables", FORMATS, ids=lambda given: str(given["LOG_FORMAT"]))
def test_a_request_can_be_followed(site: Site, beat: LocalProcess, tmp_path: Path) -> None:
    """The id of a request is in the lines of its view, of its events' handlers and of its tasks."""

    def lines(**wanted: Any) -> list[dict[str, Any]]:
        return _lines(tmp_path, **wanted)

    own = {"X-Correlation-ID": "followed-1"}
    for path in ("order/", "remember/", "nowhere/"):
        query = {"run": site.run, "seconds": "0.01"}
        requests.get(f"{site.web}/{path}", query, headers=own, timeout=PATIENCE)
    site.wait_for("billed", "packed", "shipped")
    until(lambda: lines(message="beat: Starting..."))
    until(lambda: [each for each in lines(task="site.remind") if "succeeded" in each["message"]])

    assert {line["service"] for line in lines()} == {"web", "worker", "beat"}
    assert {tuple(line)[:6] for line in lines()} == {tuple(FIXED)}
    (ordered,) = lines(message="ordered")
    (shipped,) = lines(message="shipped")
    (missing,) = lines(logger="django.request")
    reminded, done = lines(task="site.remind")
    assert [line["service"] for line in (ordered, missing)] == ["web"] * 2
    assert [line["service"] for line in (shipped, reminded, done)] == ["worker"] * 3
    followed = (ordered, shipped, missing, reminded, done)
    assert {line["correlation_id"] for line in followed} == {"followed-1"}
    assert (shipped["route"], shipped["attempt"], shipped["task"]) == ("ship", 1, "events.deliver")
    assert shipped["delivery_id"] != shipped["event_id"]
    assert reminded["task_id"] == done["task_id"] != shipped["task_id"]
    assert reminded["message"] == "reminded of {'password': '[redacted]'}"
    # The one line in a delivery task that is of no handler has nobody's id.
    for line in lines(task="events.deliver", logger="celery.app.trace"):
        assert (line["correlation_id"], "route" in line) == (None, False)


def test_what_follows_from_a_task_carries_the_context(site: Site, tmp_path: Path) -> None:
    """Retries, chains, groups, errbacks, countdowns, eager runs; pool processes keep none of it."""

    def looks(**wanted: Any) -> list[dict[str, Any]]:
        return _lines(tmp_path, message="looked", **wanted)

    answer = requests.get(
        f"{site.web}/send/", headers={"X-Correlation-ID": "followed-2"}, timeout=PATIENCE
    )
    steps = answer.json()["steps"]
    until(lambda: {line["step"] for line in looks()} == set(steps))
    carried = {("followed-2", "ada", "t-1", str(UUID(int=7)))}
    assert {_context(line) for line in looks()} == carried
    assert [line["service"] for line in looks(step="eager")] == ["web"]
    died = _lines(tmp_path, level="ERROR", logger="celery.worker.request")
    assert {line["correlation_id"] for line in died} == {"followed-2"}

    path = "tests.acceptance.site.tasks"
    site.manage(
        "shell", "-c", f"from {path} import look; [look.delay(step='on') for _ in range(8)]"
    )
    until(lambda: len(looks(step="on")) == 8)
    assert {_context(line) for line in looks(step="on")} == {(None, None, None, None)}


def _lines(directory: Path, **wanted: Any) -> list[dict[str, Any]]:
    """Return the lines with these fields of all processes, as far as they are complete."""
    written = (directory / "log" / "all.log").read_text().splitlines(keepends=True)
    found = [parse_line(line) for line in written if line.endswith("\n")]
    return [line for line in found if line.items() >= wanted.items()]


def _context(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in ("correlation_id", "actor", "tenant", "cause"))
