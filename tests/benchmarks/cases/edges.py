"""What the tools at the system's edges cost over doing without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import TypeVar

from ..bench import Bench
from ..results import Budget, Rounds, Row
from ..side import Side

K = TypeVar("K")

CALL = Budget(1.10, 1.05, at_most=True)
CHAIN = Budget(150.0, 100.0, at_most=True)
RECORD = Budget(15.0, 8.0, at_most=True)
TURNS = 5
CALLS = 100
# Many short turns: the least disturbed of them was not disturbed at all.
CHAIN_TURNS = 20
REQUESTS = 40
RECORDS = 200


def run(bench: Bench) -> Iterator[Row]:
    """Measure a call to another service, a request through the middleware, and its record."""
    yield _calls(bench)
    # No worker shares the machine.
    side = bench.side("fresh", workers=False)
    yield _chain(bench, side, "wsgi", "what the middleware adds to a request", "Django's own")
    yield _chain(bench, side, "asgi", "what the middleware adds under ASGI", "none")
    yield _record(bench, side)


def _calls(bench: Bench) -> Row:
    side = bench.side("signalbox")
    found = Rounds()
    for number in range(bench.size.rounds):
        bench.say(f"calls to another service: round {number + 1}")
        with side.paused():
            kinds = {"signalbox": "calls.ours", "requests": "calls.bare"}
            for name, seconds in _turns(
                TURNS, kinds, lambda kind: side.call(kind, url=bench.sink, times=CALLS)
            ).items():
                found.add(name, 1e6 * seconds)
    ratio = found.ratio("signalbox", "requests")
    return Row("edges", "a call through HTTPClient", "µs", found.values, ratio, CALL)


def _chain(bench: Bench, side: Side, handler: str, what: str, other: str) -> Row:
    found = Rounds()
    kinds = {"signalbox": True, other: False}
    for _ in range(bench.size.rounds):
        for name, seconds in _turns(
            CHAIN_TURNS,
            kinds,
            lambda ours: side.call(f"chain.{handler}", times=REQUESTS, ours=ours),
        ).items():
            found.add(name, 1e6 * seconds)
    pairs = zip(found.values["signalbox"], found.values[other], strict=True)
    added = median(ours - djangos for ours, djangos in pairs)
    return Row("edges", what, "µs", found.values, added, CHAIN, ratio_unit=" µs")


def _record(bench: Bench, side: Side) -> Row:
    found = Rounds()
    for _ in range(bench.size.rounds):
        turns = [side.call("chain.request_log", times=RECORDS) for _ in range(CHAIN_TURNS)]
        found.add("signalbox", 1e6 * min(turns))
    what, taken = "handing over the record of a request", median(found.values["signalbox"])
    return Row("edges", what, "µs", found.values, taken, RECORD, ratio_unit=" µs")


def _turns(number: int, kinds: Mapping[str, K], measure: Callable[[K], float]) -> dict[str, float]:
    """Return the best of so many turns of each kind, which alternate in who comes first."""
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(number):
        for name in kinds if turn % 2 else reversed(list(kinds)):
            taken[name].append(measure(kinds[name]))
    return {name: min(values) for name, values in taken.items()}
