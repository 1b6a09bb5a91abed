"""What firing costs whoever fires: the wall time of its transaction, wake-up included.

The workers are stopped meanwhile, so that they take no processor time; for Signalbox that is the
dear case, in which nobody listens at the doorbell and wake-ups are messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..bench import Bench
from ..results import Budget, Rounds, Row
from ..side import Side

BUDGETS = {1: None, 4: Budget(5, 8), 10: Budget(10, 20)}
TEN = Budget(12, 25)
# The sides take turns this often in a round. What else the machine does only ever adds time, so of
# each side the least disturbed turn is the round's.
SLICES = 5
LARGER = 10


def run(bench: Bench) -> Iterator[Row]:
    """Measure transactions with one event, with ten, and with one among much else."""
    sides = [bench.side("signalbox"), bench.side("usual")]
    for routes, budget in BUDGETS.items():
        yield fire_one(bench, sides, routes=routes, budget=budget)
    times = bench.size.requests // SLICES
    yield _measure(
        bench,
        sides,
        "ten events in one transaction, 4 routes",
        lambda side: _seconds(side, "driver.ten", routes=4, times=times // 5),
        budget=TEN,
    )
    yield _measure(
        bench,
        sides,
        f"one event more in a transaction of {LARGER} rows, 4 routes",
        lambda side: _added(side, times // 5),
        turns=1,
    )


def fire_one(
    bench: Bench,
    sides: Sequence[Side],
    *,
    routes: int,
    budget: Budget | None = None,
    rounds: int | None = None,
    case: str = "emission",
) -> Row:
    """Measure a transaction that fires one event which so many routes take."""
    times = bench.size.requests // SLICES
    return _measure(
        bench,
        sides,
        f"begin, fire one event, commit; {routes} route{'s' * (routes > 1)}",
        lambda side: _seconds(side, "driver.emission", routes=routes, times=times),
        budget=budget,
        rounds=rounds,
        case=case,
    )


def _added(side: Side, times: int) -> float:
    """Return what the event adds: the transaction with it, less the same without."""
    found: dict[int, list[float]] = {0: [], 4: []}
    for _ in range(SLICES):
        for routes, seconds in found.items():
            call = {"routes": routes, "times": times, "writes": LARGER}
            seconds.append(_seconds(side, "driver.emission", **call))
    return min(found[4]) - min(found[0])


def _seconds(side: Side, function: str, **arguments: int) -> float:
    seconds: float = side.call(function, **arguments)
    return seconds


def _measure(
    bench: Bench,
    sides: Sequence[Side],
    what: str,
    measure: Callable[[Side], float],
    *,
    budget: Budget | None = None,
    rounds: int | None = None,
    turns: int = SLICES,
    case: str = "emission",
) -> Row:
    """Let the sides take turns; the second is compared with the first."""
    found = Rounds()
    for number in range(rounds or bench.size.rounds):
        bench.say(f"{what}: round {number + 1}")
        for side in sides:
            side.pause()
        taken: dict[str, list[float]] = {side.name: [] for side in sides}
        for turn in range(turns):
            for side in sides if turn % 2 else reversed(sides):
                taken[side.name].append(1e6 * measure(side))
        for side in sides:
            found.add(side.name, min(taken[side.name]))
            side.begin()
            side.resume()
    ratio = found.ratio(sides[1].name, sides[0].name) if len(sides) > 1 else None
    return Row(case, what, "µs", found.values, ratio, budget)
