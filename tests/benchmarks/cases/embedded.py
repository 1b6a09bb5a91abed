"""The embedded default: SQLite, one writer at a time. Figures without budgets."""

from __future__ import annotations

from collections.abc import Iterator

from ..bench import Bench
from ..results import Row
from .drain import FOUR, compare
from .emission import fire_one

ROUNDS = 2


def run(bench: Bench) -> Iterator[Row]:
    """Measure firing with 4 routes and the drain of the four effects."""
    side = bench.side("embedded")
    yield fire_one(bench, [side], routes=4, rounds=ROUNDS, case="embedded")
    sizes = {"embedded": bench.size.drained // 4}
    yield compare(bench, "embedded", "events/s with all four effects", FOUR, sizes, rounds=ROUNDS)
