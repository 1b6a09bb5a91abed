"""What firing costs whoever fires: the request's wall time, wake-up included.

The workers are stopped meanwhile, so that they take no processor time; for Signalbox that is the
dear case, in which nobody listens at the doorbell and each wake-up is a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..bench import Bench
from ..results import Budget, Rounds, Row
from ..side import Side

BUDGETS = {1: None, 4: Budget(5, 8), 10: Budget(10, 20)}
TEN = Budget(12, 25)
# The sides take turns this often in a round, so that whatever disturbs the machine meets both.
SLICES = 5
LARGER = 10


def run(bench: Bench) -> Iterator[Row]:
    """Measure requests with one event, with ten, and with one among much else."""
    sides = [bench.side("signalbox"), bench.side("usual")]
    slice_ = bench.size.requests // SLICES
    for routes, budget in BUDGETS.items():
        what = f"a request that fires one event, {routes} route{'s' * (routes > 1)}"
        found = _measure(
            bench, sides, what, lambda side, n=routes: _one(side, routes=n, times=slice_)
        )
        yield _row(what, found, budget)
    what = "ten events in one transaction, 4 routes"
    found = _measure(
        bench, sides, what, lambda side: side.call("driver.ten", routes=4, times=slice_ // 5)
    )
    yield _row(what, found, TEN)
    what = "one event more in a transaction of 10 other writes, 4 routes"
    yield _row(what, _measure(bench, sides, what, lambda side: _more(side, slice_ // 2)), None)


def _one(side: Side, **arguments: int) -> float:
    seconds: float = side.call("driver.emission", **arguments)
    return seconds


def _more(side: Side, times: int) -> float:
    """Return what the event adds: the transaction with it, less the same without."""
    without, with_event = (
        _one(side, routes=routes, times=times, writes=LARGER) for routes in (0, 4)
    )
    return max(with_event - without, 0.0)


def _measure(
    bench: Bench, sides: Sequence[Side], what: str, measure: Callable[[Side], float]
) -> Rounds:
    found = Rounds()
    for number in range(bench.size.rounds):
        bench.say(f"{what}: round {number + 1}")
        for side in sides:
            side.pause()
        for turn in range(SLICES):
            for side in sides if turn % 2 else reversed(sides):
                found.add(side.name, measure(side))
        for side in sides:
            side.begin()
            side.resume()
    return found


def _row(what: str, found: Rounds, budget: Budget | None) -> Row:
    micros = {side: [1e6 * each for each in values] for side, values in found.values.items()}
    return Row("emission", what, "µs", micros, found.ratio("usual", "signalbox"), budget)
