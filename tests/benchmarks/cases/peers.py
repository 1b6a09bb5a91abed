"""The same work on other task queues, where they are installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from ..bench import Bench
from ..results import Row
from .drain import FOUR, compare
from .emission import fire_one

PEERS = ("dramatiq", "procrastinate")
# They are context, not budgets: two rounds show where they stand.
ROUNDS = 2


def run(bench: Bench) -> Iterator[Row]:
    """Measure firing with 4 routes and the drain of the four effects."""
    peers = [name for name in PEERS if find_spec(name)]
    for missing in sorted(set(PEERS) - set(peers)):
        bench.say(f"{missing} is not installed and left out")
    for name in peers:
        sides = [bench.side("signalbox"), bench.side(name)]
        yield fire_one(bench, sides, routes=4, rounds=ROUNDS, case="peers")
        sizes = {"signalbox": bench.size.drained, name: bench.size.drained_usual}
        yield compare(bench, "peers", "events/s with all four effects", FOUR, sizes, rounds=ROUNDS)
