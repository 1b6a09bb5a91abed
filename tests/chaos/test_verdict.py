"""The suite itself: it must see what it is there to see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.emitter import Times
from tests.chaos.faults import FAULTS
from tests.chaos.ledger import Count, RouteCount, disorder, outside
from tests.chaos.trial import KEPT, MISSED, Result

CLEAN: dict[str, Any] = {"broker_ms": {"p50": 0.1, "p99": 1.0, "max": 2.0, "slow": 0}}


def result(committed: int = 10, unsettled: int = 0, **routes: RouteCount) -> Result:
    """Return a judged result with these counts."""
    count = Count(committed=committed, unsettled=unsettled, routes=routes)
    judged = Result("fault", "", "sqlite", count=count, emitter=dict(CLEAN))
    judged.judge()
    return judged


@pytest.mark.parametrize(
    ("route", "count"),
    [
        ("atomic", RouteCount(lost=1)),
        ("external", RouteCount(lost=1)),
        ("once", RouteCount(lost=1)),
        ("atomic", RouteCount(doubled=1)),
        ("ordered", RouteCount(doubled=1)),
        ("once", RouteCount(doubled=1)),
        ("external", RouteCount(foreign=1)),
        ("ordered", RouteCount(disorder=1)),
        ("atomic", RouteCount(phantom=1)),
    ],
)
def test_each_broken_promise_is_a_miss(route: str, count: RouteCount) -> None:
    """One event lost, doubled, out of order or made up fails the fault."""
    assert result(**{route: count}).verdict == MISSED


def test_what_is_promised_is_no_miss() -> None:
    """External effects may be doubled under the same delivery_id."""
    kept = result(external=RouteCount(expected=10, doubled=3))
    assert kept.verdict == KEPT, kept.problems


def test_an_outcome_may_be_unknown_only_where_handlers_are_cut_off() -> None:
    """A few are the price of a death; where nothing dies, or in masses, they are a miss."""
    for dead, cuts, verdict in ((1, False, MISSED), (1, True, KEPT), (90, True, MISSED)):
        judged = result(committed=100, once=RouteCount(expected=100, dead=dead))
        judged.problems = []
        judged.judge(cuts=cuts)
        assert judged.verdict == verdict


def test_a_fault_that_tried_nothing_is_a_miss() -> None:
    """No committed request, no promise kept; and what is still on its way is not settled."""
    assert result(committed=0).verdict == MISSED
    assert result(unsettled=1).verdict == MISSED


def test_a_request_held_up_by_the_broker_is_a_miss() -> None:
    """One request that waits longer than 50 ms for the broker fails the fault."""
    times = Times([0.001] * 99 + [0.051])
    judged = Result("fault", "", "sqlite", count=Count(committed=1))
    judged.emitter = {"broker_ms": times.figures()}
    judged.judge()
    assert judged.problems == ["1 requests held up by the broker"]


def test_order_is_counted_per_lane() -> None:
    """Lanes may overtake each other; within one, each effect of an older event counts."""
    assert disorder([(1, "a"), (0, "b"), (3, "a"), (2, "b")]) == 0
    assert disorder([(1, "a"), (3, "a"), (2, "a")]) == 1


def test_effects_outside_are_counted_by_identity() -> None:
    """Twice with one delivery_id is doubled; with two it is foreign; a dead one is excused once."""
    done = [(0, "x"), (0, "x"), (1, "y"), (1, "z")]
    counted = outside("external", {0, 1, 2}, set(), done, set())
    assert (counted.lost, counted.doubled, counted.foreign) == (1, 2, 1)
    assert outside("once", {0}, set(), [], {0}).lost == 0
    assert outside("external", {0}, set(), [], {0}).lost == 1


def test_every_fault_has_a_name_of_its_own() -> None:
    """`--only` and the figures find a fault by its name."""
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))
