"""How fast a backlog is worked off, and a route that gets its events one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..bench import Bench
from ..results import Budget, Rounds, Row
from ..side import Side
from ..stamps import EFFECTS

BUDGET = Budget(30, 80)
ONES = Budget(2, 4)
_LONGEST = 180.0


class Wrong(Exception):
    """A side lost or doubled effects, so its speed means nothing."""


@dataclass(frozen=True)
class Backlog:
    """What is prepared, and how many stamps tell that it is worked off."""

    prepare: str
    effects: int


FOUR = Backlog("driver.prepare", len(EFFECTS))
ONE = Backlog("driver.prepare_ones", 1)


def run(bench: Bench) -> Iterator[Row]:
    """Measure the four effects, then one route of single events."""
    sizes = {"signalbox": bench.size.drained, "usual": bench.size.drained_usual}
    yield compare(bench, "drain", "events/s with all four effects", FOUR, sizes, BUDGET)
    sizes = {"signalbox": bench.size.drained // 2, "usual": bench.size.drained_usual * 3}
    yield compare(bench, "drain", "events/s of a route with batch_size=1", ONE, sizes, ONES)


def compare(
    bench: Bench,
    case: str,
    what: str,
    backlog: Backlog,
    sizes: dict[str, int],
    budget: Budget | None = None,
    rounds: int | None = None,
) -> Row:
    """Let the sides work off a backlog in turns; the first is compared with the second."""
    found = Rounds()
    for name in sizes:
        bench.side(name)
    bench.let_arrive()
    for number in range(rounds or bench.size.rounds):
        bench.say(f"{what}: round {number + 1}")
        for name in sizes if number % 2 else reversed(sizes):
            found.add(name, events_per_second(bench, bench.side(name), backlog, sizes[name]))
    ratio = None
    if len(sizes) > 1:
        first, second = list(sizes)[:2]
        ratio = found.ratio(first, second)
    return Row(case, what, "/s", found.values, ratio, budget)


def events_per_second(bench: Bench, side: Side, backlog: Backlog, events: int) -> float:
    """Return the speed at which the workers of a side do all effects of so many events."""
    side.begin()
    arrived = bench.arrivals()
    with side.paused():
        side.call(backlog.prepare, events=events)
        started = time.monotonic()
    side.call("driver.wake")
    side.wait(events * backlog.effects, seconds=_LONGEST)
    seconds = side.stamps.last() - started
    expected = arrived + (events if backlog is FOUR else 0)
    _verify(side, backlog, events, bench.arrivals(expected) - arrived)
    side.begin()
    return events / seconds


def _verify(side: Side, backlog: Backlog, events: int, arrived: int) -> None:
    """Raise Wrong unless every effect happened once for every event."""
    found = side.call("driver.effects")
    if backlog is FOUR:
        expected = {"audit": events, "notification": events, "cached": 0, "sales": 0}
        found["arrived"], expected["arrived"] = arrived, events
    else:
        expected = {"audit": 0, "notification": 0, "cached": 0, "sales": events}
    if found != expected:
        raise Wrong(f"{side.name}: expected {expected}, found {found}")
