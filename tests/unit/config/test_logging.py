"""One configuration for every process, from the environment."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from celery.signals import setup_logging

from config import celery
from config.settings.environment import BASE_DIR
from config.stack.servers import free_port
from core.logs import logging_config, parse_line
from tests.acceptance.support import until
from tests.nodes import LocalProcess

LOGGERS = ["shop", "django.request", "django.server", "asyncio", "granian.access"]
LOGGERS += ["celery.beat", "celery.worker.strategy"]
SAY = f"""
import django, logging, warnings
django.setup()
for name in {LOGGERS}:
    for level in (10, 20, 30):
        logging.getLogger(name).log(level, "from %s", name)
from celery.app.trace import LOG_RECEIVED
logging.getLogger("celery.beat").info("Scheduler: Sending due task %s", "x")
logging.getLogger("celery.worker.strategy").info(LOG_RECEIVED, {{"name": "x", "id": "x"}})
"""

RUN_TASKS = """
import django
django.setup()
from celery import Celery
from celery.app.trace import build_tracer
from core.events.wakeup import TASK

def run(name, code):
    app = Celery(broker="memory://", set_as_current=False)

    @app.task(name=name, ignore_result=True)
    def work():
        return eval(code)

    build_tracer(name, work, app=app)("id", [], {}, {"id": "id", "delivery_info": {}})

run(TASK, "{}")
run(TASK, "{'audit': {'done': 1}}")
run("shop.tidy", "{}")
run(TASK, "1 / 0")
"""


def environment(tmp_path: Path, **values: str) -> dict[str, str]:
    own = {"ENV_FILE": os.devnull, "VAR_DIR": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    own["DJANGO_SETTINGS_MODULE"] = "config.settings"
    return {**os.environ, **own, **values}


def say(tmp_path: Path, script: str = SAY, **values: str) -> list[dict[str, Any]]:
    """Return what a process with these variables writes to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(tmp_path, **values),
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return [parse_line(line) for line in done.stderr.splitlines()]


def test_all_loggers_write_the_same_lines_to_console_and_file(tmp_path: Path) -> None:
    """Those of Django, Celery and the web server too, each record once, from the level on."""
    path = tmp_path / "deep" / "all.log"
    lines = say(tmp_path, LOG_FILE=str(path), LOG_LEVEL="INFO", LOG_SERVICE="shop front")
    assert [line["logger"] for line in lines] == [name for name in LOGGERS for _ in range(2)]
    assert {line["level"] for line in lines} == {"INFO", "WARNING"}
    assert {line["service"] for line in lines} == {"shop front"}
    assert [parse_line(line) for line in path.read_text().splitlines()] == lines


def test_a_wake_up_that_found_nothing_has_no_line(tmp_path: Path) -> None:
    """What settled something has one, as have other tasks, whatever they return, and failures."""
    lines = say(tmp_path, RUN_TASKS)
    told = [line["message"].partition("]")[2][:13] for line in lines]
    results = [line["message"].rpartition("s: ")[2] for line in lines[:2]]
    assert told == [" succeeded in", " succeeded in", " raised unexp"]
    assert results == ["{'audit': {'done': 1}}", "{}"]


@pytest.mark.parametrize(("level", "written"), [("WARNING", {"WARNING"}), ("ERROR", set())])
def test_the_level_filters(tmp_path: Path, level: str, written: set[str]) -> None:
    """Below it nothing appears, of no logger; JSON has the same fields."""
    lines = say(tmp_path, LOG_LEVEL=level, LOG_FORMAT="json")
    assert {line["level"] for line in lines} == written
    assert len(lines) == len(written) * len(LOGGERS)
    assert {line["service"] for line in lines} <= {"python"}


def test_what_cannot_be_used_stops_nothing(tmp_path: Path) -> None:
    """A file that cannot be, and a handler that is none: two warnings, and all lines."""
    lines = say(
        tmp_path, LOG_LEVEL="WARNING", LOG_FILE="/dev/null/x.log", LOG_HANDLERS="nowhere.Handler"
    )
    warnings = [line["message"] for line in lines if line["logger"] == "core.logs"]
    assert len(warnings) == 2
    assert "/dev/null/x.log" in "".join(warnings)
    assert "nowhere" in "".join(warnings)
    assert len(lines) - len(warnings) == len(LOGGERS)


def test_a_further_handler_by_its_path(tmp_path: Path) -> None:
    """`LOG_HANDLERS` adds a handler that gets every record."""
    lines = say(tmp_path, LOG_LEVEL="WARNING", LOG_HANDLERS="logging.StreamHandler")
    assert len(lines) == 2 * len(LOGGERS)


@pytest.mark.parametrize(
    "given", [{"level": "LOUD"}, {"format": "xml"}, {"level": "info"}], ids=str
)
def test_a_configuration_that_cannot_be(given: Any) -> None:
    """A level or a format that there is not raises."""
    with pytest.raises(ValueError, match=r"^[a-z]+='[A-Za-z]+' is not one of [A-Za-z]+, "):
        logging_config(service="web", **given)


@pytest.mark.parametrize(
    "given", [{"service": ""}, {"service": None}, {"handlers": {"a": {}}}, {"handlers": {"a": 5}}]
)
def test_a_configuration_that_lacks_something(given: Any) -> None:
    """A process without a name and a handler without a class raise, with the way out."""
    with pytest.raises(ValueError, match="give "):
        logging_config(**{"service": "web"} | given)


def test_no_logger_has_handlers_of_its_own() -> None:
    """Else its lines would come twice, or in another format."""
    config = logging_config(service="web", file="x.log")
    assert config["root"]["handlers"] == ["console", "file"]
    assert not [name for name, given in config["loggers"].items() if given.get("handlers")]


def test_celery_brings_no_handlers() -> None:
    """A worker and beat use this configuration instead of Celery's own."""
    receivers = [receiver() for _, receiver in setup_logging.receivers]
    assert celery.configure_logging in receivers


def test_the_web_servers_own_lines(tmp_path: Path) -> None:
    """Granian's lines, of its main process and of its workers, and its access lines."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "config.wsgi:application"),
        *("--host", "127.0.0.1", "--port", str(port), "--no-ws", "--access-log"),
        *("--log-config", "config/granian_logging.json"),
    ]
    env = environment(tmp_path, SECRET_KEY="x" * 50, DATABASE_URL="", LOG_FORMAT="json")
    path = tmp_path / "web.log"
    web = LocalProcess("web", command, env, path)
    try:
        until(lambda: "Started worker" in path.read_text())

        def asked() -> bool:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live/?token=abc").close()
            except OSError:
                return False
            return "/health/live/" in path.read_text()

        until(asked)
    finally:
        web.remove()
    lines = [parse_line(line) for line in path.read_text().splitlines()]
    assert {line["service"] for line in lines} == {"web"}
    assert {"_granian", "granian.access"} <= {line["logger"] for line in lines}
    assert "token" not in path.read_text()


def test_a_workers_own_lines(tmp_path: Path) -> None:
    """What Celery would print as signals come are lines too, without the secrets in its stacks."""
    command = [
        *(sys.executable, "-m", "celery", "--quiet", "-A", "config.celery", "worker"),
        *("--without-mingle", "--without-gossip", "--concurrency=1"),
    ]
    variables = {"CELERY_BROKER_URL": "memory://", "REMAP_SIGTERM": "SIGQUIT"}
    env = environment(tmp_path, SECRET_KEY="x" * 50, DATABASE_URL="", **variables)
    path = tmp_path / "worker.log"
    worker = LocalProcess("worker", command, env, path)
    try:
        until(lambda: "ready." in path.read_text())
        worker.kill("SIGUSR1")
        until(lambda: "LOCAL VARIABLES" in path.read_text())
        worker.kill("SIGTERM")
        assert worker.wait(30) == 0
    finally:
        worker.remove()
    lines = [parse_line(line) for line in path.read_text().splitlines()]
    assert {line["service"] for line in lines} == {"worker"}
    said = [line["message"] for line in lines if line["logger"] == "celery.apps.worker"]
    assert "worker: Cold shutdown (MainProcess)" in said
    assert "MainThread\n=====" in "".join(said)


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """The lines of many threads do not mix, in the console nor in the file."""
    script = (
        "import logging, logging.config, threading\n"
        "from core.logs import logging_config\n"
        f"logging.config.dictConfig(logging_config(service='web', file={str(tmp_path / 'a')!r}))\n"
        "say = lambda n: [logging.warning('%d ' + 'x' * 3000, n) for _ in range(100)]\n"
        "threads = [threading.Thread(target=say, args=(n,)) for n in range(4)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    for text in (done.stderr, (tmp_path / "a").read_text()):
        assert len([parse_line(line) for line in text.splitlines()]) == 400
