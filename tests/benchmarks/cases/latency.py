"""How long an event takes from its commit to its last effect, and what the workers spend on it."""

from __future__ import annotations

from collections.abc import Iterator

from ..bench import Bench
from ..results import Budget, Rounds, Row, percentile
from ..side import Side
from ..stamps import EFFECTS

RATE = 100
MEDIAN = Budget(1.0, 0.5, at_most=True)
NEARLY_ALL = Budget(0.4, 0.15, at_most=True)
CPU = Budget(0.7, 0.3, at_most=True)
# The first second is not counted: at first nobody is awake.
_WARM_UP = 1.0


def run(bench: Bench) -> Iterator[Row]:
    """Measure a steady 100 events a second."""
    p50, p99, cpu = Rounds(), Rounds(), Rounds()
    for number in range(bench.size.rounds):
        bench.say(f"{RATE} events/s: round {number + 1}")
        for name in ("signalbox", "usual") if number % 2 else ("usual", "signalbox"):
            delays, spent = _paced(bench.side(name), bench.size.paced_seconds, seed=number)
            p50.add(name, percentile(delays, 0.5))
            p99.add(name, percentile(delays, 0.99))
            cpu.add(name, spent)
    yield _row("from commit to last effect, p50", "ms", 1e3, p50, MEDIAN)
    yield _row("from commit to last effect, p99", "ms", 1e3, p99, NEARLY_ALL)
    yield _row("worker CPU per event", "µs", 1e6, cpu, CPU)


def _paced(side: Side, seconds: float, *, seed: int) -> tuple[list[float], float]:
    """Return the delays of the events, and the seconds of processor time for each."""
    side.begin()
    before = side.cpu()
    committed: dict[int, float] = side.call(
        "driver.pace", rate=RATE, seconds=seconds + _WARM_UP, seed=seed
    )
    side.wait(len(committed) * len(EFFECTS), seconds=60)
    spent = (side.cpu() - before) / len(committed)
    finished = side.stamps.finished()
    first = min(committed.values()) + _WARM_UP
    delays = [finished[order] - at for order, at in committed.items() if at >= first]
    side.begin()
    return delays, spent


def _row(what: str, unit: str, factor: float, found: Rounds, budget: Budget) -> Row:
    values = {side: [factor * each for each in values] for side, values in found.values.items()}
    ratio = found.ratio("signalbox", "usual")
    return Row("latency", f"{RATE} events/s: {what}", unit, values, ratio, budget)
