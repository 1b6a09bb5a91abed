"""Whether a worker's memory grows while it works off a very long backlog."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..bench import Bench
from ..results import Budget, Row
from ..side import Side, Stuck
from ..stamps import EFFECTS

BUDGET = Budget(50, 5, at_most=True)
_MIB = 1024 * 1024
_LOOK_EVERY = 0.5
# By then every code path has run and every buffer has its size.
_WARM = 0.02
_STALLED = 60.0


def run(bench: Bench) -> Iterator[Row]:
    """Measure once; what is left behind is the past for the claims."""
    side, events = bench.side("signalbox"), bench.size.memory_events
    bench.say(f"memory: preparing {events:,} events")
    side.begin()
    with side.paused():
        side.call("history.backlog", events=events)
    bench.say("memory: draining them")
    side.call("history.wake")
    started = time.monotonic()
    samples = _watch(side, events * len(EFFECTS))
    speed = events / (side.stamps.last() - started)
    side.stamps.clear()
    warm = next(memory for done, memory in samples if done >= _WARM)
    growth = (max(memory for _, memory in samples) - warm) / _MIB
    yield Row(
        "memory",
        f"growth of a worker's memory while it drains {events:,} events",
        "MiB",
        {"signalbox": [growth]},
        growth,
        BUDGET,
        note=f"from {warm / _MIB:.0f} MiB, {speed:,.0f} events/s",
        ratio_unit=" MiB",
    )


def _watch(side: Side, effects: int) -> list[tuple[float, int]]:
    """Return (part that is done, bytes of memory) until everything is done."""
    samples = [(0.0, side.memory())]
    progress = time.monotonic()
    while samples[-1][0] < 1:
        time.sleep(_LOOK_EVERY)
        done = side.stamps.count() / effects
        if done > samples[-1][0]:
            progress = time.monotonic()
        elif time.monotonic() - progress > _STALLED:
            raise Stuck(f"{side.name}: nothing has happened for a while at {done:.0%}")
        samples.append((done, side.memory()))
    return samples
