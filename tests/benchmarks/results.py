"""What was measured, and what it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Budget:
    """A ratio to reach, and one to aim for. With `at_most`, less is better."""

    reach: float
    aim: float
    at_most: bool = False

    def reached(self, ratio: float) -> bool:
        """Tell whether this ratio is good enough."""
        return self._holds(ratio, self.reach)

    def excelled(self, ratio: float) -> bool:
        """Tell whether this ratio is what was aimed for."""
        return self._holds(ratio, self.aim)

    def _holds(self, ratio: float, limit: float) -> bool:
        return ratio <= limit if self.at_most else ratio >= limit


@dataclass(frozen=True)
class Row:
    """A figure of each side, and their ratio.

    `values` has what each round measured. `ratio` is what the budget is about: as a rule a ratio,
    which compares the first side with the second.
    """

    case: str
    what: str
    unit: str
    values: Mapping[str, Sequence[float]]
    ratio: float | None = None
    budget: Budget | None = None
    note: str = ""
    ratio_unit: str = "x"

    @property
    def figures(self) -> dict[str, float]:
        """Return the median of each side."""
        return {side: median(values) for side, values in self.values.items()}

    @property
    def verdict(self) -> str:
        """Return "aim", "reach" or "missed"; without a budget nothing."""
        if self.budget is None or self.ratio is None:
            return ""
        if self.budget.excelled(self.ratio):
            return "aim"
        return "reach" if self.budget.reached(self.ratio) else "missed"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        budget = vars(self.budget) if self.budget else None
        return {**vars(self), "budget": budget, "figures": self.figures, "verdict": self.verdict}


@dataclass
class Rounds:
    """What each side measured, round by round."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, side: str, value: float) -> None:
        """Keep what a side measured in this round."""
        self.values.setdefault(side, []).append(value)

    def ratio(self, over: str, under: str) -> float:
        """Return the median of the ratios of each round, whose parts were measured together."""
        pairs = zip(self.values[over], self.values[under], strict=True)
        return median(above / max(below, 1e-9) for above, below in pairs)


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that is not below this part (0 to 1) of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
