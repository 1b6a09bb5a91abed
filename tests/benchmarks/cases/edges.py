"""What the tools at the system's edges cost over doing without them."""

from __future__ import annotations

from collections.abc import Iterator

from ..bench import Bench
from ..results import Budget, Rounds, Row

CALL = Budget(1.10, 1.05, at_most=True)
TURNS = 5
CALLS = 100


def run(bench: Bench) -> Iterator[Row]:
    """Measure a call to another service, whose connection is kept alive."""
    side = bench.side("signalbox")
    found = Rounds()
    for number in range(bench.size.rounds):
        bench.say(f"calls to another service: round {number + 1}")
        with side.paused():
            taken: dict[str, list[float]] = {"signalbox": [], "requests": []}
            for turn in range(TURNS):
                kinds = {"signalbox": "calls.ours", "requests": "calls.bare"}
                for name in kinds if turn % 2 else reversed(kinds):
                    seconds = side.call(kinds[name], url=bench.sink, times=CALLS)
                    taken[name].append(1e6 * seconds)
        for name, values in taken.items():
            found.add(name, min(values))
    ratio = found.ratio("signalbox", "requests")
    yield Row("edges", "a call through HTTPClient", "µs", found.values, ratio, CALL)
