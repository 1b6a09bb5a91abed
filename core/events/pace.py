"""How many deliveries of a route a claim should take, learned from how long they took."""

from __future__ import annotations

from core.events.routing import Route

# What one claim should keep a worker busy for, in seconds, and hold in memory, in bytes.
_SECONDS = 0.5
_BYTES = 8 * 1024 * 1024
_MOST = 500
# Before anything is known, a handler of single events is taken for a slow one.
_FIRST_GUESS = 0.02
_WEIGHT = 0.3


class Pace:
    """Moving averages per route, in this process."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._bytes: dict[str, float] = {}

    def limit(self, route: Route) -> int:
        """Return how many deliveries of this route to claim at once; at least a batch."""
        each = max(self.seconds(route), 1e-6)
        small = int(_BYTES / max(self._bytes.get(route.name, 1000.0), 1.0))
        wanted = max(min(int(_SECONDS / each), _MOST), route.batch_size)
        return max(1, min(wanted, small))

    def seconds(self, route: Route) -> float:
        """Return how long this route is thought to take for one event."""
        return self._seconds.get(route.name, _FIRST_GUESS / route.batch_size)

    def learn(self, route: Route, events: int, seconds: float) -> None:
        """Remember how long a call took."""
        self._seconds[route.name] = _mix(self._seconds.get(route.name), seconds / events)

    def weigh(self, name: str, size: float) -> None:
        """Remember how many bytes the events of a route have, on average."""
        self._bytes[name] = _mix(self._bytes.get(name), size)


def _mix(former: float | None, new: float) -> float:
    return new if former is None else former + _WEIGHT * (new - former)


pace = Pace()
