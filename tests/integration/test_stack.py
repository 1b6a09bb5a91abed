"""The whole stack starts from nothing, answers, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.settings.environment import BASE_DIR
from config.stack import Stack

pytestmark = pytest.mark.system
OWN_VARIABLES = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY")


def until(condition: Callable[[], object], seconds: float) -> None:
    """Wait until the condition holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def up(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """`make up` in an empty directory, once it says that it is up."""
    environment = {k: v for k, v in os.environ.items() if k not in OWN_VARIABLES}
    environment |= {"VAR_DIR": str(tmp_path), "WEB_PORT": "0", "FLOWER_PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "config.stack"],
        cwd=BASE_DIR,
        env={**environment, "ENV_FILE": os.devnull},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        yield process
        process.terminate()


def addresses(up: "subprocess.Popen[str]") -> dict[str, str]:
    """Read the printed addresses."""
    assert up.stdout
    found: dict[str, str] = {}
    for line in up.stdout:
        name, _, rest = line.strip().partition(" ")
        found[name] = rest.split()[0] if rest.strip() else ""
        if name == "logs":
            return found
    pytest.fail(f"the stack did not come up: {found}")


def test_the_stack_answers_and_stops_cleanly(up: "subprocess.Popen[str]") -> None:
    """Every component is up, Flower asks for a password, Ctrl-C ends all of it with exit code 0."""
    found = addresses(up)
    with urllib.request.urlopen(found["web"], timeout=5) as response:
        assert json.load(response) == {"happenings": []}
    family = psutil.Process(up.pid).children(recursive=True)
    with urllib.request.urlopen(found["web"] + "health/", timeout=5) as response:
        assert set(json.load(response)["components"].values()) == {"up"}
    with urllib.request.urlopen(found["web"] + "static/admin/css/base.css", timeout=5) as response:
        assert response.status == 200
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(found["flower"] + "api/workers", timeout=5)
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 0
    assert not living(family)


def test_nothing_survives_kill_9(up: "subprocess.Popen[str]") -> None:
    """Even when the supervisor is killed outright, its servers and workers end."""
    addresses(up)
    family = psutil.Process(up.pid).children(recursive=True)
    assert len(family) >= 7
    up.kill()
    until(lambda: not living(family), 20)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of each kind of database in turn; none is SQLite in the work directory."""
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""


def test_a_killed_worker_comes_back(tmp_path: Path, database_url: str) -> None:
    """kill -9 of a worker and its pool is answered by a new worker; so is that of the broker."""
    env = {"REDIS_URL": "", "CELERY_BROKER_URL": "", "DATABASE_URL": database_url}
    with Stack(tmp_path, env=env, processes=["worker"], workers=1) as stack:
        first = stack.pid("worker-1")
        stack.kill("worker-1")
        until(lambda: stack.pid("worker-1") not in (None, first), 10)
        stack.wait_ready("worker-1")
        stack.kill("valkey")
        stack.wait_ready("valkey")
        stack.wait_ready("worker-1")
        assert [death.name for death in stack.deaths] == ["worker-1", "valkey"]
