"""Lanes: which deliveries of an ordered or limited route may be claimed next."""

from __future__ import annotations

from typing import Any

from core.events.routing import Route
from core.events.store.database import Database
from core.events.store.rows import DELIVERY, ROUTE, Scope

# What keeps a waiting delivery back: one of its lane that is held, or one that is ahead of it.
_FREE_LANE = f"""(d.lane IS NULL OR (NOT EXISTS (
    SELECT 1 FROM {DELIVERY} b WHERE b.route = d.route AND b.lane = d.lane
    AND b.state IN (1, 2) AND (b.state = 2 OR b.id < d.id)
) AND NOT EXISTS (
    SELECT 1 FROM {DELIVERY} b WHERE b.route = d.route AND b.lane = d.lane
    AND b.state = 0 AND b.id < d.id)))"""
_FLOOR = f"COALESCE((SELECT floor FROM {ROUTE} WHERE name = %s), 0)"


def candidates(db: Database, route: Route, limit: int, scope: Scope, suspect: bool) -> list[int]:
    """Return up to so many deliveries that are due, those that waited ahead of the ready ones."""
    if limit < 1:
        return []
    free = _FREE_LANE if route.ordered else "1 = 1"
    where, params = db.where(scope, waiting=True)
    ids = db.ids(
        f"SELECT d.id FROM {DELIVERY} d WHERE d.route = %s AND d.state = 1 "
        f"AND {'' if suspect else 'NOT '}d.suspect AND {where} AND {free} "
        f"ORDER BY d.due_at LIMIT %s {db.skip_locked}",
        [route.name, *params, limit],
    )
    if suspect or len(ids) >= limit:
        return ids
    return ids + _ready(db, route, limit - len(ids), scope)


def _ready(db: Database, route: Route, limit: int, scope: Scope) -> list[int]:
    """Return ready deliveries in the order fired, whose lanes are free.

    A bounded window is looked at first, and each lane in it is asked once what it holds; to ask
    for each delivery would scan what was settled and not vacuumed yet as often. When one
    blocked lane fills the window, the heads of the other lanes are found by skipping from lane
    to lane (a loose index scan), so that a long backlog behind one key costs its length once.
    """
    where, params = db.where(scope, waiting=False)
    if not route.ordered:
        return db.ids(
            f"SELECT d.id FROM {DELIVERY} d WHERE d.route = %s AND d.state = 0 "
            f"AND d.id >= {_FLOOR} AND {where} ORDER BY d.id LIMIT %s {db.skip_locked}",
            [route.name, route.name, *params, limit],
        )
    window = max(4 * limit, 400)
    left, left_params = _left_ahead(db, route, scope)
    found = db.ids(
        f"""WITH first AS MATERIALIZED (
            SELECT d.id, d.lane FROM {DELIVERY} d WHERE d.route = %s AND d.state = 0
            AND d.id >= {_FLOOR} AND {where} ORDER BY d.id LIMIT %s
        ), bounds AS MATERIALIZED (
            SELECT l.lane, (
                SELECT min(CASE b.state WHEN 2 THEN 0 ELSE b.id END) FROM {DELIVERY} b
                WHERE b.route = %s AND b.lane = l.lane AND b.state IN (1, 2)) AS id
            FROM (SELECT DISTINCT lane FROM first WHERE lane IS NOT NULL) l
        ) SELECT f.id FROM first f LEFT JOIN bounds ON bounds.lane = f.lane
        WHERE (bounds.id IS NULL OR f.id < bounds.id) AND NOT ({left}) ORDER BY f.id LIMIT %s""",
        [route.name, route.name, *params, window, route.name, *left_params, limit],
    )
    if found:
        return found
    return db.ids(
        f"""WITH RECURSIVE lanes(lane) AS (
            SELECT min(lane) FROM {DELIVERY} WHERE route = %s AND state = 0
            AND lane IS NOT NULL
            UNION ALL
            SELECT (SELECT min(n.lane) FROM {DELIVERY} n WHERE n.route = %s AND n.state = 0
                    AND n.lane > lanes.lane)
            FROM lanes WHERE lanes.lane IS NOT NULL
        ), heads AS (
            SELECT lanes.lane, (SELECT min(h.id) FROM {DELIVERY} h WHERE h.route = %s
                                AND h.state = 0 AND h.lane = lanes.lane) AS id
            FROM lanes WHERE lanes.lane IS NOT NULL
        ), free AS (
            SELECT heads.id FROM heads WHERE NOT EXISTS (
                SELECT 1 FROM {DELIVERY} b WHERE b.route = %s AND b.lane = heads.lane
                AND b.state IN (1, 2) AND (b.state = 2 OR b.id < heads.id))
            LIMIT %s
        ) SELECT d.id FROM {DELIVERY} d JOIN free ON free.id = d.id WHERE {where}""",
        [*[route.name] * 4, limit, *params],
    )


def _left_ahead(db: Database, route: Route, scope: Scope) -> tuple[str, list[Any]]:
    """Return the condition that a ready delivery which the scope leaves out is ahead of `f`."""
    left: list[str] = []
    params: list[Any] = []
    if scope.events is not None:
        these, events = db.among("u.event_id", map(db.uuid, scope.events))
        left.append(f"NOT ({these})")
        params += events
    if scope.exclude:
        these, excluded = db.among("u.id", scope.exclude)
        left.append(these)
        params += excluded
    if not left:
        return "1 = 0", []
    return (
        f"f.lane IS NOT NULL AND EXISTS (SELECT 1 FROM {DELIVERY} u WHERE u.route = %s "
        f"AND u.lane = f.lane AND u.state = 0 AND u.id < f.id AND ({' OR '.join(left)}))",
        [route.name, *params],
    )
