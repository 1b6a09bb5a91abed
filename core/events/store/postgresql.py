"""PostgreSQL: SKIP LOCKED, data-modifying CTEs and a floor under each route's index scan."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from django.db import DatabaseError
from psycopg._queries import PostgresQuery

from core.events.state import State
from core.events.store.base import (
    CLAIMED_COLUMNS,
    DELIVERY,
    EVENT,
    EVENT_COLUMNS,
    ROUTE,
    SETTLEMENT,
    Claimed,
    Release,
    Scope,
    Store,
    Want,
    with_slack,
)

if TYPE_CHECKING:
    from typing import Self

    from core.events.routing import Route

logger = logging.getLogger(__name__)

# A floor that rose by less than this is not worth the dead row that writing it leaves.
_FLOOR_STEP = 1000
# How old, in seconds, a claim's own trail has to be before the next claims begin behind it.
_TRAIL_SECONDS = 0.25
# Claims that look back to the floor take at most this part of the time, but there is one in so
# many seconds: without an old transaction they are cheap, and nearly every claim is one.
_LOOK_BACK_SHARE = 0.05
_LOOK_BACK_EVERY = 1.0

_NEW_EVENT_COLUMNS = (
    "id uuid, name text, version smallint, data text, sensitive text, sender text, key text, "
    "actor_id text, tenant_id text, correlation_id text, causation_id uuid, deliveries json"
)


class BinaryCursor(psycopg.Cursor[Any]):
    """A cursor whose results come in the binary form, which costs half to read."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        # Never prepared: a plan that was kept since the tables were empty would scan them whole.
        return super().execute(query, params, binary=True, prepare=False, **options)


class PreparedCursor(psycopg.Cursor[Any]):
    """A cursor for prepared statements: parsing and planning cost an insert as much as running.

    Where the connection has no `prepare_threshold`, which is Django's way, nothing is prepared.
    """

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        super().execute(query, params, prepare=True, **options)
        if self._query is None:
            # Psycopg leaves it out for a statement that was prepared before; Django logs it.
            self._query = PostgresQuery(self._tx)
            self._query.query = query.encode()
        return self


class Trail:
    """What this process has claimed of each route, but for the last moments.

    While it drains a backlog, its claims begin there and not at the floor, which follows more
    slowly. Since the ids of a route are claimed in their order, only late commits lie below.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[str, deque[tuple[float, int]]] = {}
        self._passed: dict[str, int] = {}
        self._look_back_at = 0.0

    def is_time_to_look_back(self) -> bool:
        """Tell whether the next claim should begin at the floors."""
        return time.monotonic() >= self._look_back_at

    def looked_back(self, seconds: float) -> None:
        """Remember what such a claim took: the dearer it was, the later comes the next."""
        self._look_back_at = time.monotonic() + min(seconds / _LOOK_BACK_SHARE, _LOOK_BACK_EVERY)

    def note(self, rows: Sequence[Claimed]) -> None:
        """Remember how far a claim came."""
        now = time.monotonic()
        # One that was tried before says nothing about those that were fired after it.
        highest = {row.route: row.id for row in rows if not row.attempts}
        with self._lock:
            for route, id in highest.items():
                steps = self._steps.setdefault(route, deque())
                steps.append((now, id))
                while steps[0][0] < now - _TRAIL_SECONDS:
                    self._pass(route, steps.popleft()[1])

    def passed(self, route: str) -> int:
        """Return the id up to which this process had claimed this route a while ago."""
        with self._lock:
            steps = self._steps.get(route)
            while steps and steps[0][0] < time.monotonic() - _TRAIL_SECONDS:
                self._pass(route, steps.popleft()[1])
            return self._passed.get(route, 0)

    def _pass(self, route: str, id: int) -> None:
        self._passed[route] = max(self._passed.get(route, 0), id)


class PostgresStore(Store):
    """The store on PostgreSQL 15 or newer."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self._trail = Trail()

    # Not now(): that is the start of the transaction, which a test's may lie far back.
    now = "statement_timestamp()"
    epoch = "EXTRACT(EPOCH FROM statement_timestamp())"
    skip_locked = "FOR UPDATE SKIP LOCKED"

    def among(self, column: str, values: Iterable[Any]) -> tuple[str, list[Any]]:
        # One text however many values there are, so that it can be prepared.
        return f"{column} = ANY(%s)", [list(values)]

    def _cursor(self) -> Any:
        return self._native(BinaryCursor)

    def _insert(self, sql: str, params: Sequence[Any]) -> int | None:
        with self._native(PreparedCursor) as cursor:
            cursor.execute(sql, params)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def _native(self, kind: type[psycopg.Cursor[Any]]) -> Any:
        """Return a cursor that lets the server bind parameters, seen by Django as its own are."""
        connection = self.connection
        connection.ensure_connection()
        with connection.wrap_database_errors:
            return connection._prepare_cursor(kind(connection.connection))

    def after(self, seconds: str) -> str:
        return f"statement_timestamp() + {seconds} * interval '1 second'"

    def seconds_until(self, moment: str) -> str:
        return f"EXTRACT(EPOCH FROM {moment}::timestamptz - statement_timestamp())"

    def records(self, columns: str) -> str:
        return f"(SELECT * FROM json_to_recordset(%s::json) AS r({columns}))"

    def insert(self, events: Sequence[Any]) -> int | None:
        return self._insert_one(events[0]) if len(events) == 1 else self._insert_many(events)

    def _insert_one(self, event: Any) -> int | None:
        context = event.context
        params = [
            event.id,
            event.name,
            event.version,
            event.data,
            event.sensitive,
            event.sender,
            event.key,
            context.actor_id,
            context.tenant_id,
            context.correlation_id or str(event.id),
            context.causation_id,
        ]
        insert_event = (
            f"INSERT INTO {EVENT} (id, {EVENT_COLUMNS}, occurred_at) VALUES "
            "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, statement_timestamp())"
        )
        if not event.deliveries:
            return self._insert(insert_event, params)
        rows = ", ".join(["(%s, %s, %s)"] * len(event.deliveries))
        for route, lane in event.deliveries:
            params += (event.id, route, lane)
        return self._insert(
            f"WITH e AS ({insert_event}) INSERT INTO {DELIVERY} (event_id, route, lane) "
            f"VALUES {rows} RETURNING id",
            params,
        )

    def _insert_many(self, events: Sequence[Any]) -> int | None:
        # One JSON text costs the client far less than arrays, whose JSON it would escape twice.
        body = orjson.dumps(
            [
                {
                    "id": event.id,
                    "name": event.name,
                    "version": event.version,
                    "data": event.data,
                    "sensitive": event.sensitive,
                    "sender": event.sender,
                    "key": event.key,
                    "actor_id": event.context.actor_id,
                    "tenant_id": event.context.tenant_id,
                    "correlation_id": event.context.correlation_id or str(event.id),
                    "causation_id": event.context.causation_id,
                    "deliveries": event.deliveries,
                }
                for event in events
            ]
        ).decode()
        return self._insert(
            f"""WITH n AS MATERIALIZED (
                SELECT * FROM json_to_recordset(%s::json) AS r({_NEW_EVENT_COLUMNS})
            ), e AS (
                INSERT INTO {EVENT} (id, {EVENT_COLUMNS}, occurred_at)
                SELECT id, {EVENT_COLUMNS}, statement_timestamp() FROM n
            ), d AS (
                INSERT INTO {DELIVERY} (event_id, route, lane)
                SELECT n.id, d.value->>0, d.value->>1
                FROM n CROSS JOIN LATERAL json_array_elements(n.deliveries) AS d(value)
                RETURNING id
            )
            SELECT min(id) FROM d""",
            [body],
        )

    def claim(self, wants: Sequence[Want], token: int, scope: Scope) -> list[Claimed]:
        ready, ready_params = self._where(scope, waiting=False)
        waiting, waiting_params = self._where(scope, waiting=True)
        look_back = scope.thorough or self._trail.is_time_to_look_back()
        started = time.monotonic()
        wanted = orjson.dumps(
            [
                {
                    "route": want.route.name,
                    "n": want.limit,
                    "lease": with_slack(want.route.lease),
                    "passed": 0 if look_back else self._trail.passed(want.route.name),
                }
                for want in wants
            ]
        ).decode()
        rows = self._claimed(
            f"""WITH want AS MATERIALIZED (
                SELECT w.*, GREATEST(r.floor, w.passed) AS floor {self._relaxed_commit()}
                FROM json_to_recordset(%s::json)
                AS w(route text, n integer, lease float8, passed bigint)
                LEFT JOIN {ROUTE} r ON r.name = w.route
                WHERE r.paused IS NOT TRUE
            ), waiting AS MATERIALIZED (
                SELECT p.id, w.lease FROM want w CROSS JOIN LATERAL (
                    SELECT d.id FROM {DELIVERY} d WHERE d.route = w.route AND d.state = 1
                    AND NOT d.suspect AND {waiting}
                    ORDER BY d.due_at LIMIT w.n FOR UPDATE SKIP LOCKED) p
            ), ready AS MATERIALIZED (
                SELECT p.id, w.lease FROM want w CROSS JOIN LATERAL (
                    SELECT d.id FROM {DELIVERY} d WHERE d.route = w.route AND d.state = 0
                    AND d.id >= w.floor AND {ready}
                    ORDER BY d.id LIMIT w.n FOR UPDATE SKIP LOCKED) p
            ), d AS (
                UPDATE {DELIVERY} u SET state = 2, token = %s, started = false,
                due_at = statement_timestamp() + p.lease * interval '1 second'
                FROM (SELECT * FROM waiting UNION ALL SELECT * FROM ready) p WHERE u.id = p.id
                RETURNING u.id, u.route, u.lane, u.attempts, u.failures, u.suspect, u.event_id
            )
            SELECT {CLAIMED_COLUMNS} FROM d JOIN {EVENT} e ON e.id = d.event_id ORDER BY d.id""",
            [wanted, *waiting_params, *ready_params, token],
        )
        if look_back:
            self._trail.looked_back(time.monotonic() - started)
        self._trail.note(rows)
        return rows

    def claim_suspect(self, routes: Sequence[Route], token: int, scope: Scope) -> list[Claimed]:
        """Lease one suspect in one statement, of whichever route comes first in a random order.

        Each route's oldest one is found by its index; to sort those of all routes would make every
        claim as dear as there are suspects.
        """
        where, params = self._where(scope, waiting=True)
        shuffled = random.sample(list(routes), len(routes))
        wanted = orjson.dumps(
            [{"route": route.name, "lease": with_slack(route.lease)} for route in shuffled]
        ).decode()
        return self._claimed(
            f"""WITH one AS MATERIALIZED (
                SELECT p.id, w.lease {self._relaxed_commit()}
                FROM json_to_recordset(%s::json) AS w(route text, lease float8)
                CROSS JOIN LATERAL (
                    SELECT d.id FROM {DELIVERY} d WHERE d.route = w.route AND d.state = 1
                    AND d.suspect AND {where} ORDER BY d.due_at LIMIT 1 FOR UPDATE SKIP LOCKED) p
                WHERE NOT EXISTS (SELECT 1 FROM {ROUTE} r WHERE r.name = w.route AND r.paused)
                LIMIT 1
            ), d AS (
                UPDATE {DELIVERY} u SET state = 2, token = %s, started = true,
                due_at = statement_timestamp() + one.lease * interval '1 second'
                FROM one WHERE u.id = one.id
                RETURNING u.id, u.route, u.lane, u.attempts, u.failures, u.suspect, u.event_id
            )
            SELECT {CLAIMED_COLUMNS} FROM d JOIN {EVENT} e ON e.id = d.event_id""",
            [wanted, *params, token],
        )

    def _relaxed_commit(self) -> str:
        # A claim that a crash of the server forgets is a lease that was never taken, so this one
        # statement need not wait for the disk. Inside a caller's transaction it must not say so.
        if self.connection.in_atomic_block:
            return ""
        return ", set_config('synchronous_commit', 'off', true)"

    def settle(self, ids: Sequence[int], token: int, outcome: str, reason: str) -> int:
        rows = self._rows(
            f"""WITH gone AS (
                DELETE FROM {DELIVERY} WHERE id = ANY(%s) AND token = %s RETURNING route, event_id
            ), history AS (
                INSERT INTO {SETTLEMENT} (route, outcome, reason, count, events, settled_at)
                SELECT route, %s, %s, count(*), string_agg(event_id::text, ' '),
                statement_timestamp() FROM gone GROUP BY route
            )
            SELECT count(*) FROM gone""",
            [list(ids), token, outcome, reason],
        )
        return int(rows[0][0])

    def release(self, releases: Sequence[Release], token: int) -> set[int]:
        """Release, and lower the floors under what is ready again: claims begin there."""
        held = super().release(releases, token)
        ready = [each.id for each in releases if each.state == State.READY and each.id in held]
        if ready:
            self._lower_if_possible(ready)
        return held

    def _lower_if_possible(self, ids: Sequence[int]) -> None:
        try:
            self.lower_floors(ids)
        except DatabaseError as error:
            if self.connection.in_atomic_block:
                raise
            # The rows are written; the next scan from the start finds them below the floor.
            logger.warning("lowering a floor failed: %s", type(error).__name__)

    # Floors of several routes are locked in the order of their names, here and by everybody else:
    # in an order of their own, two workers could wait for each other.

    def reach_down(self, names: Sequence[str], lowest: int) -> None:
        self._execute(
            f"""WITH locked AS MATERIALIZED (
                SELECT name FROM {ROUTE} WHERE name = ANY(%s) AND GREATEST(floor, floor_seen) > %s
                ORDER BY name FOR UPDATE
            )
            UPDATE {ROUTE} r SET floor = LEAST(floor, %s), floor_seen = LEAST(floor_seen, %s)
            FROM locked l WHERE r.name = l.name""",
            [list(names), lowest, lowest, lowest],
        )

    def lower_floors(self, ids: Sequence[int]) -> None:
        """Move the floors of these deliveries' routes down to them, where they are above."""
        self._execute(
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

    def lock_route(self, name: str) -> tuple[bool, str, float]:
        sql = f"SELECT paused, grants, {self.epoch} FROM {ROUTE} WHERE name = %s FOR UPDATE"
        rows = self._rows(sql, [name])
        if not rows:
            self._execute(
                f"INSERT INTO {ROUTE} (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", [name]
            )
            rows = self._rows(sql, [name])
        paused, grants, now = rows[0]
        return bool(paused), str(grants), float(now)

    def raise_floors(self, names: Sequence[str], *, from_start: bool) -> None:
        """Move the floors up in two steps, so that commits between two calls are not passed over.

        A row that is committed later than that lies below the floor. Who committed it lowers the
        floor again; failing that, the next call from the start finds it.
        """
        self._execute(
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
