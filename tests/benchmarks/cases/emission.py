"""What firing costs whoever fires, wake-up included.

A request that fires has a transaction anyway, so what counts is what the event adds to one that
writes a row. The transaction that does nothing but fire is shown as well: for Signalbox it has
three round trips and a flush to disk, for the usual way none of them.

The workers are stopped meanwhile, so that they take no processor time; for Signalbox that is the
dear case, in which nobody listens at the doorbell and wake-ups are messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..bench import Bench
from ..results import Budget, Rounds, Row
from ..side import Side

BUDGETS = {1: None, 4: Budget(5, 8), 10: Budget(10, 20)}
TEN = Budget(12, 25)
# The sides take turns this often in a round. What else the machine does only ever adds time, so of
# each side the least disturbed turn is the round's.
SLICES = 5


def run(bench: Bench) -> Iterator[Row]:
    """Measure what one event adds, a transaction of nothing else, and ten events in one."""
    sides = [bench.side("signalbox"), bench.side("usual")]
    times = bench.size.requests // SLICES
    for routes, budget in BUDGETS.items():
        yield _measure(
            bench,
            sides,
            f"one event more in a transaction that writes a row; {_number(routes)}",
            partial(_added, routes=routes, times=times),
            budget=budget,
            turns=1,
        )
    yield fire_one(bench, sides, routes=4)
    yield _measure(
        bench,
        sides,
        f"ten events in one transaction; {_number(4)}",
        lambda side: _seconds(side, "driver.ten", routes=4, times=times // 5),
        budget=TEN,
    )


def fire_one(
    bench: Bench,
    sides: Sequence[Side],
    *,
    routes: int,
    rounds: int | None = None,
    case: str = "emission",
) -> Row:
    """Measure a transaction that fires one event which so many routes take."""
    times = bench.size.requests // SLICES
    return _measure(
        bench,
        sides,
        f"a transaction with one event and nothing else; {_number(routes)}",
        lambda side: _seconds(side, "driver.emission", routes=routes, times=times),
        rounds=rounds,
        case=case,
    )


def _number(routes: int) -> str:
    return f"{routes} route{'s' * (routes > 1)}"


def _added(side: Side, *, routes: int, times: int) -> float:
    """Return what the event adds: the transaction with it, less the same without."""
    found: dict[int, list[float]] = {0: [], routes: []}
    for _ in range(SLICES):
        for number, seconds in found.items():
            call = {"routes": number, "times": times, "writes": 1}
            seconds.append(_seconds(side, "driver.emission", **call))
    return min(found[routes]) - min(found[0])


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
