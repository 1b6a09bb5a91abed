"""`python -m tests.chaos.stalled_sink [--seconds 60]`: requests while nobody takes their logs.

A process serves 500 requests per second through the whole middleware: once while a worker writes
their logs, once while that worker stands still, once with a broker that never answers. What is
compared: how long requests take, how much memory the process gains, and whether each record is
either in the table or counted as dropped. Exits with 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

from config.settings.environment import BASE_DIR
from config.stack import Stack

from .rig import FOREIGN, blackhole, wait_for

RATE = 500
# So much slower may requests be: noise of a machine that does other things too.
FACTOR, MILLISECONDS = 2.0, 2.0
MEBIBYTES = 32.0
# Messages, of a second's records each: some of what a stalled worker leaves behind is stored later.
MOST_WAITING = 5
WITHIN = 60.0

SERVE = """
import json, sys, time
import django; django.setup()
import psutil
from django.core.handlers.wsgi import WSGIHandler
from core import request_logs
# So few messages may wait that the buffer fills behind them within the time.
request_logs.sending._handover()._most_waiting = int(sys.argv[3])
seconds, rate = float(sys.argv[1]), float(sys.argv[2])
serve = WSGIHandler()
def request():
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/nothing", "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "wsgi.input": sys.stdin.buffer, "wsgi.url_scheme": "http"}
    response = serve(environ, lambda *told: None)
    b"".join(response); response.close()
for _ in range(200):
    request()
request_logs.flush(1.5)
before = psutil.Process().memory_info().rss
taken, due = [], time.perf_counter()
end = due + seconds
while due < end:
    time.sleep(max(0.0, due - time.perf_counter()))
    began = time.perf_counter()
    request()
    taken.append((time.perf_counter() - began) * 1000)
    due += 1 / rate
grown = psutil.Process().memory_info().rss - before
request_logs.sending._handover().close()
counts = request_logs.status()
taken.sort()
print(json.dumps({
    "requests": len(taken) + 200, "p50": taken[len(taken) // 2],
    "p99": taken[int(len(taken) * 0.99)], "mebibytes": grown / 2**20,
    "accepted": counts.accepted, "shipped": counts.shipped, "dropped": counts.dropped,
    "buffered": counts.buffered,
}))
"""


@dataclass
class Phase:
    """What was measured under one condition; times in milliseconds."""

    name: str
    p50: float
    p99: float
    mebibytes: float
    requests: int
    accepted: int
    shipped: int
    dropped: int
    buffered: int
    stored: int = 0

    def delays(self, usual: Phase) -> list[str]:
        """Return what is slower than promised, compared with how it usually is."""
        if self.p99 <= usual.p99 * FACTOR + MILLISECONDS:
            return []
        return [f"{self.name}: p99 is {self.p99:.1f} ms, usually {usual.p99:.1f} ms"]

    def problems(self) -> list[str]:
        """Return what is not as promised of memory and counts, however busy the machine is."""
        found = []
        if self.mebibytes > MEBIBYTES:
            found.append(f"{self.name}: the process grew by {self.mebibytes:.0f} MiB")
        if self.accepted != self.requests:
            found.append(f"{self.name}: {self.requests} requests, {self.accepted} records")
        if self.accepted != self.stored + self.dropped + self.buffered:
            found.append(
                f"{self.name}: {self.accepted} accepted, but {self.stored} stored and "
                f"{self.dropped} dropped"
            )
        return found

    def __str__(self) -> str:
        return (
            f"{self.name:<16}p50 {self.p50:5.2f} ms  p99 {self.p99:6.2f} ms  "
            f"{self.mebibytes:+6.1f} MiB  accepted {self.accepted}  stored {self.stored}  "
            f"dropped {self.dropped}"
        )


def run(workdir: Path, *, seconds: float, buffer: int = 10_000) -> list[Phase]:
    """Serve for so many seconds under each condition; return what was measured."""
    own = {**dict.fromkeys(FOREIGN, ""), "REQUEST_LOG_BUFFER": str(buffer), "LOG_LEVEL": "ERROR"}
    with Stack(workdir, env=own, workers=1, processes=("worker",)) as stack:
        healthy = _phase("worker writes", stack, seconds)
        stack.kill("worker", SIGSTOP)
        try:
            stalled = _phase("worker stalls", stack, seconds, settle=False)
        finally:
            stack.kill("worker", SIGCONT)
        stalled.stored = _settled(stack, stalled)
        with blackhole() as url:
            hanging = _phase("broker hangs", stack, seconds, {"CELERY_BROKER_URL": url})
        return [healthy, stalled, hanging]


def _phase(
    name: str,
    stack: Stack,
    seconds: float,
    extra: Mapping[str, str] | None = None,
    *,
    settle: bool = True,
) -> Phase:
    _empty(stack)
    served = subprocess.run(
        [sys.executable, "-c", SERVE, str(seconds), str(RATE), str(MOST_WAITING)],
        env={**os.environ, **stack.environment, **(extra or {})},
        cwd=BASE_DIR,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    phase = Phase(name, **json.loads(served.stdout))
    if settle:
        phase.stored = _settled(stack, phase)
    return phase


def _settled(stack: Stack, phase: Phase) -> int:
    """Return how many rows there are, once all that was shipped should be there."""
    wait_for(lambda: _count(stack) >= phase.shipped, WITHIN)
    return _count(stack)


def _count(stack: Stack) -> int:
    return int(_execute(stack, "SELECT count(*) FROM signalbox_logs_requestlog"))


def _empty(stack: Stack) -> None:
    _execute(stack, "DELETE FROM signalbox_logs_requestlog")


def _execute(stack: Stack, statement: str) -> Any:
    path = stack.workdir / "db.sqlite3"
    with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as database:
        row = database.execute(statement).fetchone()
        return row[0] if row else None


def main() -> int:
    """Run it, print what was measured, say what is not as promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.stalled_sink")
    parser.add_argument("--seconds", type=float, default=10, help="for each condition; full: 60")
    options = parser.parse_args()
    # A buffer that fills within the time, so that there is something to count.
    buffer = min(10_000, int(options.seconds * RATE / 3))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="signalbox-sink-") as workdir:
        phases = run(Path(workdir), seconds=options.seconds, buffer=buffer)
    for phase in phases:
        print(phase)
    problems = [
        problem for phase in phases for problem in (*phase.delays(phases[0]), *phase.problems())
    ]
    untried = [phase.name for phase in phases[1:] if not phase.dropped]
    problems += [f"{name}: nothing was dropped, so it says nothing" for name in untried]
    print("\n".join(problems) or f"All as promised ({time.monotonic() - began:.0f} s).")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
