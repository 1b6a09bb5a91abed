"""Floors on PostgreSQL: where the scan of a route's ready deliveries begins.

Rows that were settled and not vacuumed yet lie ahead of it, and would be read by every claim.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import DatabaseError

from core.events.store.database import Database
from core.events.store.rows import DELIVERY, ROUTE

logger = logging.getLogger(__name__)

# A floor that rose by less than this is not worth the dead row that writing it leaves.
_FLOOR_STEP = 1000

# Floors of several routes are locked in the order of their names, here and by everybody else:
# in an order of their own, two workers could wait for each other.


def reach_down(db: Database, names: Sequence[str], lowest: int) -> None:
    """Move the floors of these routes down to this id, where they are above."""
    db.execute(
        f"""WITH locked AS MATERIALIZED (
            SELECT name FROM {ROUTE} WHERE name = ANY(%s) AND GREATEST(floor, floor_seen) > %s
            ORDER BY name FOR UPDATE
        )
        UPDATE {ROUTE} r SET floor = LEAST(floor, %s), floor_seen = LEAST(floor_seen, %s)
        FROM locked l WHERE r.name = l.name""",
        [list(names), lowest, lowest, lowest],
    )


def lower_floors(db: Database, ids: Sequence[int]) -> None:
    """Move the floors of these deliveries' routes down to them, where they are above."""
    db.execute(
        f"""WITH lowest AS MATERIALIZED (
            SELECT route, min(id) AS id FROM {DELIVERY} WHERE id = ANY(%s) GROUP BY route
        ), locked AS MATERIALIZED (
            SELECT r.name, m.id FROM {ROUTE} r JOIN lowest m ON m.route = r.name
            WHERE GREATEST(r.floor, r.floor_seen) > m.id ORDER BY r.name FOR UPDATE OF r
        )
        UPDATE {ROUTE} r SET floor = LEAST(r.floor, l.id),
        floor_seen = LEAST(r.floor_seen, l.id)
        FROM locked l WHERE r.name = l.name""",
        [list(ids)],
    )


def lower_if_possible(db: Database, ids: Sequence[int]) -> None:
    """Lower the floors of deliveries that are written already; outside a transaction, only try."""
    try:
        lower_floors(db, ids)
    except DatabaseError as error:
        if db.connection.in_atomic_block:
            raise
        # The rows are written; the next scan from the start finds them below the floor.
        logger.warning("lowering a floor failed: %s", type(error).__name__)


def raise_floors(db: Database, names: Sequence[str], *, from_start: bool) -> None:
    """Move the floors up in two steps, so that commits between two calls are not passed over.

    A row that is committed later than that lies below the floor. Who committed it lowers the
    floor again; failing that, the next call from the start finds it.
    """
    db.execute(
        f"""WITH seen AS (
            SELECT r.name, COALESCE(
                (SELECT d.id FROM {DELIVERY} d WHERE d.route = r.name AND d.state = 0
                 AND d.id >= CASE WHEN %s THEN 0 ELSE r.floor END ORDER BY d.id LIMIT 1),
                (SELECT last_value FROM {DELIVERY}_id_seq)) AS id
            FROM {ROUTE} r WHERE r.name = ANY(%s)
        ), moved AS MATERIALIZED (
            SELECT r.name FROM {ROUTE} r JOIN seen s ON s.name = r.name
            WHERE LEAST(s.id, r.floor_seen) < r.floor OR s.id < r.floor_seen
            OR s.id >= r.floor_seen + {_FLOOR_STEP}
            OR LEAST(s.id, r.floor_seen) >= r.floor + {_FLOOR_STEP}
            ORDER BY r.name FOR UPDATE OF r
        )
        UPDATE {ROUTE} r SET floor = LEAST(s.id, r.floor_seen), floor_seen = s.id
        FROM seen s, moved m WHERE r.name = s.name AND r.name = m.name""",
        [from_start, list(names)],
    )
