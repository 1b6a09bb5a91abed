"""What the foundation adds to the calls that are made most often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..bench import Bench
from ..results import Budget, Rounds, Row
from ..side import Side

FEE = Budget(5.0, 2.0, at_most=True)
LOOKUP = Budget(1.10, 1.05, at_most=True)
SAVE = Budget(2.0, 1.5, at_most=True)
SOFT_DELETE = Budget(50.0, 20.0, at_most=True)


def run(bench: Bench) -> Iterator[Row]:
    """Measure the fee, finding a row, saving one and soft-deleting one."""
    # No worker shares the machine.
    side = bench.side("fresh", workers=False)
    side.begin()
    yield _single(bench, side, "fee", 20_000, "a final price with a warm fee", "µs", FEE)
    yield _compared(bench, side, "lookup", "a repository's get_by_id", "orm", LOOKUP)
    yield from _saves(bench, side, "")
    what = "a soft delete with its event, the slowest of 20"
    yield _single(bench, side, "soft_delete", 20, what, "ms", SOFT_DELETE)
    side.begin()
    embedded = bench.side("embedded", workers=False)
    embedded.begin()
    yield from _saves(bench, embedded, ", SQLite")
    embedded.begin()


def _saves(bench: Bench, side: Side, where: str) -> Iterator[Row]:
    for begun, how in ((False, "by itself"), (True, "in a transaction")):
        for function, row in (("save", "a changed row"), ("create", "a new row")):
            what = f"save() of {row} with its event, {how}{where}"
            yield _compared(bench, side, function, what, "django", SAVE, begun=begun)


def _single(
    bench: Bench, side: Side, function: str, times: int, what: str, unit: str, budget: Budget
) -> Row:
    scale = {"µs": 1e6, "ms": 1e3}[unit]
    found = Rounds()
    for _ in range(bench.size.rounds):
        found.add("signalbox", scale * side.call(f"foundation.{function}", times=times))
    row = Row("foundation", what, unit, found.values, budget=budget, ratio_unit=f" {unit}")
    return replace(row, ratio=row.figures["signalbox"])


def _compared(
    bench: Bench,
    side: Side,
    function: str,
    what: str,
    other: str,
    budget: Budget | None,
    **options: bool,
) -> Row:
    found = Rounds()
    for _ in range(bench.size.rounds):
        seconds = side.call(f"foundation.{function}", times=bench.size.requests // 2, **options)
        for name, each in seconds.items():
            found.add(name, 1e6 * each)
    ratio = found.ratio("signalbox", other)
    return Row("foundation", what, "µs", found.values, ratio, budget)
