"""Counting: what was committed against what came of it."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

ATOMIC = ("atomic", "ordered", "kill")
OUTSIDE = ("external", "hang")


@dataclass
class RouteCount:
    """What became of the events of one run on one route."""

    expected: int = 0
    lost: int = 0
    doubled: int = 0
    dead: int = 0
    phantom: int = 0
    # Doubled outside, under more than one delivery_id: no receiver could have noticed.
    foreign: int = 0
    disorder: int = 0


@dataclass
class Count:
    """What became of the events of one run."""

    committed: int = 0
    unsettled: int = 0
    recovery_seconds: float = 0.0
    routes: dict[str, RouteCount] = field(default_factory=dict)

    def total(self, name: str, routes: tuple[str, ...]) -> int:
        """Return the sum of one figure over some routes."""
        return sum(getattr(self.routes[route], name) for route in routes if route in self.routes)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Ledger:
    """Reads the database and the file of the external effects."""

    def effects(self, run: str) -> int:
        """Return how many atomic effects a run has had so far; 0 while the database is away."""
        from .effects.models import Effect

        try:
            return Effect.objects.filter(run=run).count()
        except (DatabaseError, InterfaceError):
            connection.close()
            return 0

    def wait_settled(self, run: str, seconds: float) -> None:
        """Wait until nothing of a run is on its way, or until so many seconds are over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._is_open(run):
            time.sleep(0.1)

    def _is_open(self, run: str) -> bool:
        try:
            return self.open(run) > 0
        except (DatabaseError, InterfaceError):
            # It was the database's turn to be broken, and it is not back yet.
            connection.close()
            return True

    def open(self, run: str) -> int:
        """Return how many deliveries of a run are on their way."""
        from core.events.state import State

        return self._deliveries(run).exclude(state=State.DEAD).count()

    def count(self, run: str, trap: str, every: int) -> Count:
        """Compare the effects of a run with its committed requests."""
        from .effects.models import Request

        committed = set(Request.objects.filter(run=run).values_list("seq", flat=True))
        marked = {seq for seq in committed if every and seq % every == 0}
        dead = self._dead(run)
        external = self._external(run)
        count = Count(committed=len(committed), unsettled=self.open(run))
        for route in ("atomic", "ordered", *(["kill"] if trap == "kill" else [])):
            fatal = marked if trap == ("poison" if route == "atomic" else route) else set()
            count.routes[route] = self._atomic(run, route, committed, fatal, dead[route])
        for route in ("external", "once", *(["hang"] if trap == "hang" else [])):
            fatal = marked if route == "hang" else set()
            count.routes[route] = outside(route, committed, fatal, external[route], dead[route])
        return count

    def _atomic(
        self, run: str, route: str, committed: set[int], fatal: set[int], dead: set[int]
    ) -> RouteCount:
        from .effects.models import Effect

        rows = list(
            Effect.objects.filter(run=run, route=route).order_by("id").values_list("seq", "lane")
        )
        times = Counter(seq for seq, _ in rows)
        return RouteCount(
            expected=len(committed - fatal),
            # What has to die is lost if it does not lie there dead for a person to see.
            lost=len(committed - fatal - times.keys()) + len(fatal - dead),
            doubled=sum(number > 1 for number in times.values()),
            dead=len(dead),
            phantom=len(times.keys() - committed) + len(times.keys() & fatal),
            disorder=disorder(rows) if route == "ordered" else 0,
        )

    @staticmethod
    def _deliveries(run: str) -> Any:
        from core.events.models import Delivery

        return Delivery.objects.filter(event__correlation_id=run)

    def _dead(self, run: str) -> dict[str, set[int]]:
        from core.events.state import State

        found: dict[str, set[int]] = defaultdict(set)
        rows = self._deliveries(run).filter(state=State.DEAD).values_list("route", "event__data")
        for route, data in rows:
            found[route].add(json.loads(data)["seq"])
        return found

    @staticmethod
    def _external(run: str) -> dict[str, list[tuple[int, str]]]:
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        if settings.CHAOS_EXTERNAL.exists():
            with settings.CHAOS_EXTERNAL.open("rb") as lines:
                for line in map(orjson.loads, lines):
                    if line["run"] == run:
                        found[line["route"]].append((line["seq"], line["delivery_id"]))
        return found


def outside(
    route: str,
    committed: set[int],
    fatal: set[int],
    done: list[tuple[int, str]],
    dead: set[int],
) -> RouteCount:
    """Compare the effects of a route that writes outside the database with what was committed."""
    times = Counter(seq for seq, _ in done)
    identities: dict[int, set[str]] = defaultdict(set)
    for seq, delivery_id in done:
        identities[seq].add(delivery_id)
    # "Outcome unknown", kept for a person to decide, is what at_most_once promises.
    excused = dead if route == "once" else set()
    return RouteCount(
        expected=len(committed - fatal),
        lost=len(committed - fatal - times.keys() - excused) + len(fatal - dead),
        doubled=sum(number > 1 for number in times.values()),
        dead=len(dead),
        phantom=len(times.keys() - committed) + len(times.keys() & fatal),
        foreign=sum(len(names) > 1 for names in identities.values()),
    )


def disorder(rows: list[tuple[int, str]]) -> int:
    """Return how many effects came after one of their lane that was fired later."""
    latest: dict[str, int] = {}
    wrong = 0
    for seq, lane in rows:
        wrong += seq < latest.get(lane, -1)
        latest[lane] = max(seq, latest.get(lane, -1))
    return wrong
