"""How figures are judged."""

import pytest

from tests.benchmarks.results import Budget, Rounds, Row, percentile
from tests.benchmarks.shop.payloads import SIZE, payload, size


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(4.9, "missed"), (5.0, "reach"), (7.9, "reach"), (8.0, "aim")]
)
def test_more_is_better(ratio: float, verdict: str) -> None:
    """A ratio reaches a budget that it equals or exceeds."""
    row = Row("case", "what", "µs", {"a": [1.0]}, ratio, Budget(5, 8))
    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(0.41, "missed"), (0.4, "reach"), (0.16, "reach"), (0.15, "aim")]
)
def test_less_is_better(ratio: float, verdict: str) -> None:
    """With `at_most`, a ratio reaches a budget that it equals or stays below."""
    row = Row("case", "what", "ms", {"a": [1.0]}, ratio, Budget(0.4, 0.15, at_most=True))
    assert row.verdict == verdict


def test_without_a_budget_nothing_is_judged() -> None:
    """A row without a budget has no verdict, so it cannot fail the run."""
    assert Row("case", "what", "ms", {"a": [1.0]}, 2.0).verdict == ""


def test_the_ratio_is_that_of_the_rounds() -> None:
    """One disturbed round changes the figures of both sides and not the median of the ratios."""
    rounds = Rounds()
    for usual, own in [(10.0, 2.0), (100.0, 20.0), (10.0, 9.0)]:
        rounds.add("usual", usual)
        rounds.add("signalbox", own)
    assert rounds.ratio("usual", "signalbox") == 5.0


def test_percentiles() -> None:
    """The 99th percentile of a hundred values is one that hardly any exceeds."""
    values = [float(number) for number in range(100)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99


def test_payloads_have_the_size_that_is_claimed() -> None:
    """Every side sends the same number of bytes, and no two orders are the same."""
    first, second = payload(), payload()
    assert size(first) == size(second) == SIZE
    assert first["order_id"] != second["order_id"]
