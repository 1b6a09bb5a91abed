"""Due: what could be claimed now, and whose lease ran out."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from core.events.routing import Route
from core.events.store import limits
from core.events.store.database import Database
from core.events.store.rows import CLAIMED_COLUMNS, DELIVERY, EVENT, ROUTE, Due, Lapsed


def claimable(db: Database, routes: Sequence[Route]) -> dict[str, Due]:
    """Return what each of these routes has due, without those that may not claim it now."""
    names = orjson.dumps([{"name": route.name} for route in routes]).decode()
    rows = db.rows(
        f"""SELECT n.name,
        (SELECT d.id FROM {DELIVERY} d WHERE d.route = n.name AND d.state = 0
         AND d.id >= COALESCE((SELECT r.floor FROM {ROUTE} r WHERE r.name = n.name), 0)
         ORDER BY d.id LIMIT 1),
        (SELECT d.due_at FROM {DELIVERY} d WHERE d.route = n.name AND d.state = 1
         AND d.due_at <= {db.now} ORDER BY d.due_at LIMIT 1)
        FROM {db.records("name text")} n
        WHERE NOT EXISTS (SELECT 1 FROM {ROUTE} r WHERE r.name = n.name
         AND (r.paused OR r.closed_until > {db.now}))""",
        [names],
    )
    found = {
        name: Due(ready, None if waiting is None else str(waiting))
        for name, ready, waiting in rows
        if (ready, waiting) != (None, None)
    }
    limited = [route for route in routes if route.name in found and route.concurrency]
    for route in limited:
        if limits.busy(db, route) >= (route.concurrency or 0):
            del found[route.name]
    return found


def expired(db: Database, limit: int) -> list[Lapsed]:
    """Return deliveries whose lease ran out.

    To be called in a transaction: on PostgreSQL the rows stay locked until its end.
    """
    found = db.rows(
        f"SELECT d.id, d.route, d.token, d.started FROM {DELIVERY} d WHERE d.state = 2 "
        f"AND d.due_at <= {db.now} ORDER BY d.due_at LIMIT %s {db.skip_locked}",
        [limit],
    )
    if not found:
        return []
    these, params = db.among("d.id", (id for id, *_ in found))
    claimed = db.claimed(
        f"SELECT {CLAIMED_COLUMNS} FROM {DELIVERY} d JOIN {EVENT} e ON e.id = d.event_id "
        f"WHERE {these}",
        params,
    )
    rows = {row.id: row for row in claimed}
    return [
        Lapsed(id, route, token, bool(started), rows.get(id))
        for id, route, token, started in sorted(found)
    ]
