"""Limits: how much the rate and the concurrency of a route allow now, over all workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from core.events.store.database import Database
from core.events.store.rows import DELIVERY, ROUTE

if TYPE_CHECKING:
    from core.events.routing import Rate, Route


@dataclass(slots=True)
class Allowance:
    """How many more deliveries a limited route may claim, and the grants to remember."""

    count: int
    grants: list[list[float]] = field(default_factory=list)


def allowed(db: Database, route: Route, limit: int, grants: str, now: float) -> Allowance:
    """Return what the limits of a route leave of a claim of so many deliveries."""
    if route.concurrency is not None and busy(db, route) >= route.concurrency:
        limit = 0
    if route.rate is None:
        return Allowance(limit)
    return allowance(route.rate, limit, orjson.loads(grants), now)


def remember(
    db: Database, route: Route, rate: Rate, given: Allowance, taken: int, now: float
) -> None:
    """Write what a claim took of the rate of a route, and until when it has nothing left."""
    grants = add_grant(rate, given.grants, now, taken)
    closed_for = closing_time(rate, grants, now)
    db.execute(
        f"UPDATE {ROUTE} SET grants = %s, closed_until = "
        f"CASE WHEN %s > 0 THEN {db.after('%s')} ELSE NULL END WHERE name = %s",
        [orjson.dumps(grants).decode(), closed_for, closed_for, route.name],
    )


def busy(db: Database, route: Route) -> int:
    """Return how many claims of a route are under unexpired leases, over all workers."""
    ((count,),) = db.rows(
        f"SELECT count(DISTINCT d.token) FROM {DELIVERY} d WHERE d.route = %s "
        f"AND d.state = 2 AND d.due_at > {db.now}",
        [route.name],
    )
    return int(count)


def open_in(db: Database, names: Sequence[str]) -> float | None:
    """Return the seconds until the first of these rate-limited routes opens, if one is shut."""
    these, params = db.among("name", names)
    rows = db.rows(
        f"SELECT min(closed_until) FROM {ROUTE} WHERE {these} AND closed_until > {db.now}",
        params,
    )
    if rows[0][0] is None:
        return None
    until = rows[0][0]
    ((seconds,),) = db.rows(f"SELECT {db.seconds_until('%s')}", [until])
    return max(float(seconds), 0.0)


def allowance(rate: Rate, limit: int, grants: list[list[float]], now: float) -> Allowance:
    """Return how many events a rate grants now: a sliding window over the grants, exact."""
    recent = [grant for grant in grants if grant[0] > now - rate.period]
    free = rate.count - int(sum(count for _, count in recent))
    return Allowance(max(0, min(limit, free)), recent)


def add_grant(rate: Rate, grants: list[list[float]], now: float, count: int) -> list[list[float]]:
    """Return the grants with one more; those of one fiftieth of the period are kept as one.

    Each counts from the end of its fiftieth, so that the window never holds too many.
    """
    if not count:
        return grants
    step = rate.period / 50
    moment = (now // step + 1) * step
    if grants and grants[-1][0] >= moment:
        return [*grants[:-1], [grants[-1][0], grants[-1][1] + count]]
    return [*grants, [moment, count]]


def closing_time(rate: Rate, grants: list[list[float]], now: float) -> float:
    """Return the seconds for which a rate has nothing left to give; 0 when it has."""
    if sum(count for _, count in grants) < rate.count:
        return 0.0
    return max(0.0, min(moment for moment, _ in grants) + rate.period - now)
