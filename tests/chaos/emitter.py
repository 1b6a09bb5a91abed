"""A process that serves requests: each commits a row and fires an event, and is timed.

`python -m tests.chaos.emitter RUN RATE TRAP EVERY` goes on until its standard input closes, then
prints a JSON object of figures. Between the requests it times others that write as much and fire
nothing: what those take as well is the machine's or the database's doing, not the broker's.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import django
from django.db import DatabaseError, InterfaceError, close_old_connections, transaction

SLOW_SECONDS = 0.05
ROLLBACK_EVERY = 20
LANES = 7


class Undo(Exception):
    """The request changed its mind."""


@dataclass
class Times:
    """How long something took, in seconds, again and again."""

    values: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Return percentiles in milliseconds, and how many were slow."""
        ordered = sorted(self.values) or [0.0]
        found = {
            name: ordered[min(int(len(ordered) * part), len(ordered) - 1)]
            for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
        }
        return {
            **{name: round(seconds * 1000, 2) for name, seconds in found.items()},
            "slow": sum(value > SLOW_SECONDS for value in self.values),
        }


class Stopwatch:
    """Stands around a function and adds up how long its calls took since it was last asked."""

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._seconds = 0.0

    def __call__(self, queues: Iterable[str], after: float = 0.0) -> None:
        started = time.perf_counter()
        try:
            self._function(queues, after)
        finally:
            self._seconds += time.perf_counter() - started

    def take(self) -> float:
        seconds, self._seconds = self._seconds, 0.0
        return seconds


class Emitter:
    """Fires the events of one run."""

    def __init__(self, run: str, trap: str, every: int) -> None:
        from core.events import wakeup

        self.run, self.trap, self.every = run, trap, every
        self.committed = self.rolled_back = self.errors = 0
        self.emission, self.control, self.wakeups = Times(), Times(), Times()
        # All that a request has to do with the broker happens in this call.
        self.stopwatch = wakeup.ring = Stopwatch(wakeup.ring)

    def request(self, seq: int) -> None:
        """Serve one request."""
        close_old_connections()
        started = time.perf_counter()
        try:
            with transaction.atomic():
                self._fire(seq)
        except Undo:
            self.rolled_back += 1
        except (DatabaseError, InterfaceError):
            # Whether it was committed, the table of requests tells.
            self.errors += 1
        else:
            self.committed += 1
            self.emission.values.append(time.perf_counter() - started)
        self.wakeups.values.append(self.stopwatch.take())

    def _fire(self, seq: int) -> None:
        from core.events import event_context

        from .effects.models import Request
        from .effects.signals import happened

        marked = bool(self.every) and seq % self.every == 0
        Request.objects.create(run=self.run, seq=seq)
        with event_context(correlation_id=self.run):
            happened.send(
                sender=Request,
                run=self.run,
                seq=seq,
                lane=f"{self.run}:{seq % LANES}",
                trap=self.trap,
                marked=marked,
            )
        if seq % ROLLBACK_EVERY == ROLLBACK_EVERY - 1:
            raise Undo

    def compare(self, seq: int) -> None:
        """Serve a request that writes as much and fires nothing."""
        from .effects.models import Effect, Request

        close_old_connections()
        started = time.perf_counter()
        try:
            with transaction.atomic():
                Request.objects.create(run="control", seq=seq)
                Effect.objects.bulk_create(
                    Effect(route="control", run="control", seq=seq, lane="") for _ in range(5)
                )
        except (DatabaseError, InterfaceError):
            return
        self.control.values.append(time.perf_counter() - started)

    def figures(self) -> dict[str, object]:
        """Return what happened, for the report."""
        return {
            "committed": self.committed,
            "rolled_back": self.rolled_back,
            "errors": self.errors,
            "emission_ms": self.emission.figures(),
            "control_ms": self.control.figures(),
            "broker_ms": self.wakeups.figures(),
        }


def main() -> None:
    """Emit at a steady rate until standard input closes."""
    run, rate, trap, every = sys.argv[1:]
    django.setup()
    emitter = Emitter(run, trap, int(every))
    pause = 1 / float(rate)
    seq, due = 0, time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        emitter.request(seq)
        if seq % 2 == 0:
            emitter.compare(seq)
        seq += 1
        # What a held-up database delayed is not made up for: that would be another fault.
        due = max(due + pause, time.monotonic())
    print(json.dumps(emitter.figures()), flush=True)


if __name__ == "__main__":
    main()
