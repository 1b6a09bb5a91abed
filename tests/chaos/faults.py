"""The faults: what is done to the system while requests are served."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from signal import SIGCONT, SIGKILL, SIGSTOP

import psycopg

from .ledger import Ledger
from .rig import Rig, blackhole, clock, faketime, wait_for

DATABASES = ("postgresql", "sqlite")
PROGRESS_SECONDS = 60.0
# Workers with a wrong clock, and by how many hours.
CLOCKS = {"worker-fast": 1, "worker-slow": -1}

Surroundings = AbstractContextManager[Mapping[str, str]]


@dataclass
class Experiment:
    """What a fault may use."""

    rig: Rig
    ledger: Ledger
    run: str
    quick: bool
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def go_on(self, seconds: float) -> None:
        """Let the load go on for a while; half as long in a quick run."""
        time.sleep(seconds / 2 if self.quick else seconds)

    def times(self, number: int) -> range:
        """Return how often to repeat something; a fifth as often in a quick run."""
        return range(max(1, number // 5) if self.quick else number)

    def wait_for_effects(self) -> None:
        """Wait until effects happen that had not happened yet."""
        before = self.ledger.effects(self.run)
        if not wait_for(lambda: self.ledger.effects(self.run) > before, PROGRESS_SECONDS):
            self.problems.append(f"no effect for {PROGRESS_SECONDS:g} s")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    name: str
    text: str
    act: Callable[[Experiment], None]
    databases: tuple[str, ...] = DATABASES
    trap: str = ""
    every: int = 0
    # What the requests' process finds in its environment.
    surroundings: Callable[[], Surroundings] = lambda: nullcontext({})
    # Whether handlers are cut off, so that what an at_most_once handler did may stay unknown.
    cuts: bool = False
    # Why this machine cannot have the fault, if it cannot.
    missing: Callable[[], str | None] = lambda: None


def calm(chaos: Experiment) -> None:
    """Let nothing go wrong: what the other figures are to be compared with."""
    chaos.wait_for_effects()
    chaos.go_on(5)


def kill_workers(chaos: Experiment) -> None:
    kills = chaos.times(20)
    for _ in kills:
        chaos.wait_for_effects()
        time.sleep(chaos.rig.random.random())
        chaos.rig.kill_workers()
    chaos.wait_for_effects()
    chaos.notes.append(f"{len(kills)} times kill -9 of every worker")


def kill_broker(chaos: Experiment) -> None:
    chaos.wait_for_effects()
    chaos.rig.kill("valkey")
    chaos.rig.wait_ready("valkey")
    chaos.go_on(3)
    chaos.rig.stop_process("valkey")
    chaos.go_on(4)
    chaos.rig.start_process("valkey")
    chaos.go_on(3)


def empty_broker(chaos: Experiment) -> None:
    chaos.wait_for_effects()
    with closing(chaos.rig.broker) as broker:
        for _ in chaos.times(12):
            broker.flushall()
            time.sleep(0.5)


def freeze_broker(chaos: Experiment) -> None:
    chaos.wait_for_effects()
    chaos.rig.kill("valkey", SIGSTOP)
    try:
        chaos.go_on(6)
    finally:
        chaos.rig.kill("valkey", SIGCONT)
    chaos.go_on(2)


@contextmanager
def unreachable_broker() -> Iterator[Mapping[str, str]]:
    """Give the requests' process the address of a broker that takes no connection."""
    with blackhole() as url:
        yield {"CELERY_BROKER_URL": url}


def restart_database(chaos: Experiment) -> None:
    chaos.wait_for_effects()
    chaos.go_on(1)
    chaos.rig.stop_process("postgres")
    chaos.go_on(1)
    chaos.rig.start_process("postgres")
    chaos.wait_for_effects()
    chaos.go_on(2)


def crash_database(chaos: Experiment) -> None:
    """Kill one server process (PostgreSQL then drops every connection), then the whole server."""
    chaos.wait_for_effects()
    assert chaos.rig.postgres
    with psycopg.connect(chaos.rig.postgres.url()) as own:
        ((victim,),) = own.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
        ).fetchall()
    os.kill(victim, SIGKILL)
    chaos.wait_for_effects()
    chaos.go_on(1)
    chaos.rig.kill("postgres")
    chaos.rig.wait_ready("postgres")
    chaos.wait_for_effects()
    chaos.go_on(1)


def lock_database(chaos: Experiment) -> None:
    """Keep SQLite's one write lock for a while, as a long import does."""
    chaos.wait_for_effects()
    for _ in chaos.times(2):
        file = sqlite3.connect(chaos.rig.workdir / "db.sqlite3", timeout=20, isolation_level=None)
        with closing(file):
            file.execute("BEGIN IMMEDIATE")
            time.sleep(4)
            file.execute("ROLLBACK")
        chaos.wait_for_effects()


def kill_beat(chaos: Experiment) -> None:
    for _ in chaos.times(3):
        chaos.wait_for_effects()
        chaos.rig.kill("beat")
        chaos.go_on(2)


def start_second_beat(chaos: Experiment) -> None:
    if "second-beat" not in chaos.rig.supervisor.processes:
        chaos.rig.add(
            "second-beat", [sys.executable, "-m", "celery", "-A", "config.celery", "beat"]
        )
    chaos.rig.start_process("second-beat")
    chaos.wait_for_effects()
    chaos.go_on(8)


def stop_beat(chaos: Experiment) -> None:
    """Lose every wake-up while no beat runs: the workers' own timers have to find the work."""
    chaos.rig.stop_process("beat")
    chaos.wait_for_effects()
    with closing(chaos.rig.broker) as broker:
        for _ in chaos.times(10):
            broker.flushall()
            time.sleep(1)


def use_wrong_clocks(chaos: Experiment) -> None:
    for name in CLOCKS:
        if name not in chaos.rig.supervisor.processes:
            chaos.rig.add_worker(name)
        chaos.rig.start_process(name)
    chaos.rig.stop_process("worker-2")
    chaos.wait_for_effects()
    chaos.go_on(6)
    # What they held when they died has to come back by the clock that is right.
    for name in CLOCKS:
        chaos.rig.kill(name)
    chaos.wait_for_effects()
    chaos.go_on(2)


def no_faketime() -> str | None:
    """Return what to install to have wrong clocks, or None."""
    if faketime():
        return None
    return "needs libfaketime (apt-get install libfaketime, or LIBFAKETIME=/path/to/the.so)"


def wrong_clocks() -> dict[str, dict[str, str]]:
    """Return the environments of the workers whose clocks are wrong."""
    return {name: clock(hours) for name, hours in CLOCKS.items()} if faketime() else {}


FAULTS = (
    Fault("none", "nothing goes wrong", calm),
    Fault("workers-killed", "kill -9 of every worker at random moments", kill_workers, cuts=True),
    Fault("broker-killed", "the broker is killed, comes back, is down for 4 s", kill_broker),
    Fault("broker-emptied", "FLUSHALL again and again", empty_broker),
    Fault("broker-frozen", "the broker stops answering for 6 s (SIGSTOP)", freeze_broker),
    Fault(
        "broker-unreachable",
        "the requests' connections to the broker hang",
        calm,
        surroundings=unreachable_broker,
    ),
    Fault(
        "database-restarted",
        "the database server is restarted",
        restart_database,
        cuts=True,
        databases=("postgresql",),
    ),
    Fault(
        "database-crashed",
        "kill -9 of a connection's process, then of the database server",
        crash_database,
        cuts=True,
        databases=("postgresql",),
    ),
    Fault(
        "database-locked",
        "a stranger holds the write lock for 4 s",
        lock_database,
        cuts=True,
        databases=("sqlite",),
    ),
    Fault("beat-killed", "kill -9 of beat", kill_beat),
    Fault("two-beats", "two beats at once", start_second_beat),
    Fault("no-beat", "no beat, and FLUSHALL every second", stop_beat),
    Fault("handler-kills", "a handler kills its process", calm, cuts=True, trap="kill", every=60),
    Fault("handler-hangs", "a handler never returns", calm, cuts=True, trap="hang", every=120),
    Fault("poison", "an event that fails in each batch", calm, trap="poison", every=15),
    Fault(
        "clock-wrong",
        "the clocks of two workers are wrong by an hour",
        use_wrong_clocks,
        cuts=True,
        databases=("postgresql",),
        missing=no_faketime,
    ),
)
