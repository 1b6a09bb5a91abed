"""What the acceptance tests share: kinds of systems, deadlines, the site as its users see it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from uuid import uuid4

import requests
from pytest_celery import CeleryTestSetup

from config.settings.environment import BASE_DIR
from tests.nodes import LocalWorker

PATIENCE = 30.0

# A database and a broker.
EMBEDDED = ("sqlite", "valkey")
USUAL = ("postgresql", "redis")
KINDS = [EMBEDDED, USUAL, ("sqlite", "rabbitmq")]


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Return what the condition returns once that is true; fail at the deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        pause.wait(0.02)
    return found


class Site:
    """The site as its users see it, and the processes behind it."""

    def __init__(self, web: str, setup: CeleryTestSetup, env: Mapping[str, str]) -> None:
        self.web, self.setup, self.env = web, setup, env
        self.run = uuid4().hex

    @cached_property
    def worker(self) -> LocalWorker:
        """The worker's process."""
        found: LocalWorker = self.setup.worker.container
        return found

    def order(self, number: int = 1, *, seconds: float = 0) -> None:
        """Have the web process fire so many events."""
        for _ in range(number):
            requests.get(
                f"{self.web}/order/", {"run": self.run, "seconds": seconds}, timeout=PATIENCE
            ).raise_for_status()

    def state(self) -> dict[str, Any]:
        """Return what came of this test's events, as the web process tells it."""
        answer = requests.get(f"{self.web}/effects/", {"run": self.run}, timeout=PATIENCE)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def steps(self) -> list[str]:
        """Return the steps that have committed."""
        return [effect["step"] for effect in self.state()["effects"]]

    def wait_for(self, *steps: str, seconds: float = PATIENCE) -> None:
        """Wait until exactly these steps have committed and nothing is open."""
        wanted = Counter(steps)
        try:
            until(lambda: Counter(self.steps()) == wanted and not self.state()["open"], seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: wanted {wanted}, found {self.state()}") from None

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py and return its output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=dict(self.env),
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
