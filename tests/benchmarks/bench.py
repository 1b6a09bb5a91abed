"""What a run has: servers of its own, and the sides on them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

import redis

from config.settings.environment import BASE_DIR
from config.stack.processes import ManagedProcess, Supervisor
from config.stack.servers import _valkey_binary, free_port
from tests import services

from .databases import Databases
from .side import PROCESSES, Side

_ARRIVE_WITHIN = 10.0
# PostHog's SDK sends what it holds every half second.
_FLUSHED_WITHIN = 1.0
_READY_WITHIN = 10.0
_CELERY = ("-m", "celery", "-A")
_WORKER = ("worker", "--concurrency", str(PROCESSES), "--loglevel", "WARNING")
# What a worker does besides work; the usual way is measured without.
_LEAN = ("--without-gossip", "--without-mingle", "--without-heartbeat")
_ONE = ("manage.py", "procrastinate", "worker", "--concurrency", "1")
WORKERS: dict[str, list[tuple[str, ...]]] = {
    "signalbox": [(*_CELERY, "config.celery", *_WORKER)],
    "usual": [(*_CELERY, "tests.benchmarks.sides.usual_app", *_WORKER, *_LEAN)],
    "dramatiq": [("-m", "dramatiq", "tests.benchmarks.sides.dramatiq", "-p", str(PROCESSES))],
    "procrastinate": [_ONE] * PROCESSES,
}

# Sides that differ from another one in their database only.
SENDERS = {"embedded": "signalbox", "fresh": "signalbox"}


@dataclass(frozen=True)
class Size:
    """How much is measured: in how many rounds, and so much in each."""

    rounds: int
    requests: int
    drained: int
    drained_usual: int
    paced_seconds: float
    memory_events: int
    settled: int
    held_seconds: float
    claims: int


FULL = Size(5, 500, 20_000, 600, 10.0, 1_000_000, 5_000_000, 60.0, 60)
QUICK = Size(3, 200, 6_000, 200, 5.0, 50_000, 200_000, 8.0, 20)


class Bench:
    """The servers and the sides of one run; everything is removed at its end."""

    def __init__(self, *, size: Size, workdir: Path, say: Callable[[str], None]) -> None:
        self.size = size
        self.say = say
        self._workdir = workdir
        self._stack = ExitStack()
        self._supervisor = Supervisor()
        self._sides: dict[str, Side] = {}

    def __enter__(self) -> Self:
        self.say("starting the servers")
        try:
            self._supervisor.open()
            self._stack.callback(self._supervisor.close)
            server = os.environ.get("REDIS_URL") or self._start_redis()
            self._redis = self._stack.enter_context(redis_databases(server))
            server = self._stack.enter_context(services.postgres_server(self._workdir, fsync=True))
            self._databases = self._stack.enter_context(Databases(server))
            self.sink = self._start_sink()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def side(self, name: str, *, workers: bool = True) -> Side:
        """Return a side with its workers running; the first time it is set up and started."""
        if name not in self._sides:
            self.say(f"{name}: starting")
            sender = SENDERS.get(name, name)
            side = Side(
                name,
                environment=self._environment(name, sender),
                workers=WORKERS[sender],
                supervisor=self._supervisor,
                workdir=self._workdir,
            )
            self._sides[name] = self._stack.enter_context(side)
            if workers:
                side.start()
        return self._sides[name]

    def let_arrive(self) -> None:
        """Wait until PostHog's stand-in gets nothing more, so that it can count what comes."""
        arrived = -1
        while arrived != (arrived := self.arrivals()):
            time.sleep(_FLUSHED_WITHIN)

    def arrivals(self, expected: int = 0) -> int:
        """Return how many events PostHog's stand-in got; wait a little for those expected."""
        deadline = time.monotonic() + _ARRIVE_WITHIN
        while True:
            with urlopen(self.sink) as answer:
                arrived = int(answer.read())
            if arrived >= expected or time.monotonic() > deadline:
                return arrived
            time.sleep(0.05)

    def _environment(self, name: str, sender: str) -> dict[str, str]:
        environment = {
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            "BENCH_SIDE": sender,
            "ENV_FILE": os.devnull,
            "VAR_DIR": str(self._workdir),
            "SECRET_KEY": "benchmark",
            "DEBUG": "off",
            "HTTPS": "off",
            "LOG_LEVEL": "WARNING",
            "REMAP_SIGTERM": "SIGQUIT",
            "CELERY_SOFT_SHUTDOWN_SECONDS": "3",
            "CELERY_BROKER_URL": _for_celery(next(self._redis)),
            "REDIS_URL": next(self._redis),
            "POSTHOG_API_KEY": "phc_benchmark",
            "POSTHOG_HOST": self.sink,
        }
        return environment | self._database(name, environment)

    def _database(self, name: str, environment: Mapping[str, str]) -> dict[str, str]:
        if name == "embedded":
            url = {"DATABASE_URL": f"sqlite:///{self._workdir / 'bench.sqlite3'}"}
            migrate({**environment, **url})
            return url
        if not self._databases.template:
            with self._databases.making_template() as address:
                migrate({**environment, "BENCH_SIDE": "signalbox", "DATABASE_URL": address})
        url = {"DATABASE_URL": self._databases.copy(name)}
        if name == "procrastinate":
            migrate({**environment, **url})
        return url

    def _start_redis(self) -> str:
        """Start a server that keeps nothing and listens on TCP, as one elsewhere would."""
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        command = [_valkey_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]

        def answers() -> bool:
            try:
                with redis.Redis.from_url(url) as client:
                    return bool(client.ping())
            except redis.RedisError:
                return False

        self._start("redis", [*command, "--dir", str(self._workdir)], answers)
        return url

    def _start_sink(self) -> str:
        port = free_port()
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            try:
                return bool(urlopen(url).status == 200)
            except OSError:
                return False

        self._start("sink", [sys.executable, "-m", "tests.benchmarks.sink", str(port)], answers)
        return url

    def _start(self, name: str, command: Sequence[str], answers: Callable[[], bool]) -> None:
        log = self._workdir / f"{name}.log"
        process = ManagedProcess(name, command, os.environ, log, cwd=BASE_DIR, ready=answers)
        self._supervisor.add(process)
        self._supervisor.start(name)
        self._supervisor.wait_ready(name, _READY_WITHIN)


def migrate(environment: Mapping[str, str]) -> None:
    """Create the tables of a side."""
    subprocess.run(
        [
            sys.executable,
            "manage.py",
            "migrate",
            "--run-syncdb",
            "--skip-checks",
            "--verbosity",
            "0",
        ],
        env={**os.environ, **environment},
        cwd=BASE_DIR,
        check=True,
    )


@contextmanager
def redis_databases(url: str) -> Iterator[Iterator[str]]:
    """Yield the addresses of Redis databases that were empty, and are empty again afterwards."""
    taken: list[Any] = []
    try:
        yield _empty_databases(url, taken)
    finally:
        for client in taken:
            client.flushdb()
            client.close()


def _empty_databases(url: str, taken: list[Any]) -> Iterator[str]:
    for number in reversed(range(16)):
        address = _with_database(url, number)
        client = redis.Redis.from_url(address)
        if client.dbsize() == 0:
            taken.append(client)
            yield address
    raise RuntimeError("the Redis server has too few databases that are empty")


def _with_database(url: str, number: int) -> str:
    if url.startswith("unix:"):
        return f"{url.partition('?')[0]}?db={number}"
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{number}"


def _for_celery(url: str) -> str:
    return url.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
