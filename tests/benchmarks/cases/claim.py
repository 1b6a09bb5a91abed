"""Whether a claim takes longer with a long past behind it, or while vacuum is held back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from statistics import median

from ..bench import Bench
from ..results import Budget, Rounds, Row
from ..side import Side

BUDGET = Budget(1.3, 1.1, at_most=True)
# Claims on each side before it is the other's turn.
_TURN = 5
_PAUSE = 0.5
HELD = ("snapshot", "transaction id")


def run(bench: Bench) -> Iterator[Row]:
    """Measure claims on tables with a past against claims on empty ones, in turns."""
    side, fresh = bench.side("signalbox"), bench.side("fresh", workers=False)
    with side.paused():
        bench.say(f"claims: settling deliveries until there were {bench.size.settled:,}")
        side.call("history.settle", deliveries=bench.size.settled)
        yield _row(
            f"with {bench.size.settled:,} settled deliveries behind it", _beside(bench, side, fresh)
        )
        for held in HELD:
            seconds = bench.size.held_seconds
            bench.say(f"claims: {seconds:.0f} s of work while another transaction holds a {held}")
            found = _held(side, fresh, held, seconds)
            yield _row(f"after {seconds:.0f} s beside a transaction that holds a {held}", found)
    side.begin()


def _beside(bench: Bench, side: Side, fresh: Side) -> Rounds:
    found = Rounds()
    for number in range(bench.size.rounds):
        bench.say(f"claims: round {number + 1}")
        past: list[float] = []
        empty: list[float] = []
        for _ in range(bench.size.claims // _TURN):
            past += side.call("history.claims", times=_TURN)
            empty += fresh.call("history.claims", times=_TURN, emptied=True)
        _add(found, past, empty)
    return found


def _held(side: Side, fresh: Side, held: str, seconds: float) -> Rounds:
    found = Rounds()
    work = side.submit("history.claims_while_held", held=held, seconds=seconds)
    empty: list[float] = []
    while not work.done():
        empty += fresh.call("history.claims", times=1, emptied=True)
        wait([work], timeout=_PAUSE)
    _add(found, work.result(), empty[len(empty) * 2 // 3 :])
    return found


def _add(found: Rounds, past: Sequence[float], fresh: Sequence[float]) -> None:
    found.add("signalbox", 1e3 * median(past))
    found.add("empty table", 1e3 * median(fresh))


def _row(what: str, found: Rounds) -> Row:
    ratio = found.ratio("signalbox", "empty table")
    return Row("claim", f"a claim of 100 {what}", "ms", found.values, ratio, BUDGET)
