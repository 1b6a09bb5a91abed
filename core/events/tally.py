"""Tallies: what a look for work, or a time of it, has brought."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field


class Tally:
    """Counts per route and outcome: done, retried, discarded, failed, dead, released."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, route: str, outcome: str, number: int = 1) -> None:
        self._counts[route][outcome] += number

    def merge(self, other: Tally) -> None:
        for route, counts in other._counts.items():
            self._counts[route].update(counts)

    def as_dict(self) -> dict[str, dict[str, int]]:
        return {route: dict(counts) for route, counts in sorted(self._counts.items())}

    def __contains__(self, route: str) -> bool:
        return route in self._counts

    def __bool__(self) -> bool:
        return bool(self._counts)


@dataclass(slots=True)
class Round:
    """What one look for work has brought."""

    tally: Tally = field(default_factory=Tally)
    taken: int = 0
    full: set[str] = field(default_factory=set)
    more: bool = False
    suspects: bool = False
    again_in: float | None = None
    returned: list[int] = field(default_factory=list)

    def merge(self, other: Round) -> None:
        self.tally.merge(other.tally)
        self.taken += other.taken
        self.full |= other.full
        self.more |= other.more
        self.suspects |= other.suspects
        self.again_in = soonest(self.again_in, other.again_in)
        self.returned += other.returned


@dataclass(slots=True)
class Worked:
    """What `work` did, whether its time ended before the work, and when something is due next."""

    tally: Tally = field(default_factory=Tally)
    left: bool = False
    again_in: float | None = None


def soonest(*delays: float | None) -> float | None:
    """Return the smallest of these delays, or None when there is none."""
    return min((delay for delay in delays if delay is not None), default=None)
