"""PostgreSQL: SKIP LOCKED, data-modifying CTEs and a floor under each route's index scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import psycopg

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
)

if TYPE_CHECKING:
    from typing import Self

# A floor that rose by less than this is not worth the dead row that writing it leaves.
_FLOOR_STEP = 1000

_NEW_EVENT_COLUMNS = (
    "id uuid, name text, version smallint, data text, sensitive text, sender text, key text, "
    "actor_id text, tenant_id text, correlation_id text, causation_id uuid, deliveries json"
)


class BinaryCursor(psycopg.Cursor[Any]):
    """A cursor whose results come in the binary form, which costs half to read."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        return super().execute(query, params, binary=True, **options)


class PreparedCursor(psycopg.Cursor[Any]):
    """A cursor for prepared statements: parsing and planning cost an insert as much as running."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        return super().execute(query, params, prepare=True, **options)


class PostgresStore(Store):
    """The store on PostgreSQL 15 or newer."""

    # Not now(): that is the start of the transaction, which a test's may lie far back.
    now = "statement_timestamp()"
    epoch = "EXTRACT(EPOCH FROM statement_timestamp())"
    skip_locked = "FOR UPDATE SKIP LOCKED"

    def among(self, column: str, values: Iterable[Any]) -> tuple[str, list[Any]]:
        # One text however many values there are, so that it can be prepared.
        return f"{column} = ANY(%s)", [list(values)]

    def _cursor(self) -> Any:
        # Never prepared: a plan that was kept since the tables were empty would scan them whole.
        return self._native(BinaryCursor)

    def _insert(self, sql: str, params: Sequence[Any]) -> None:
        # Behind a pooler that mixes sessions there are no prepared statements; Django's way to
        # say so is heeded.
        mixed = self.connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
        with self._native(BinaryCursor if mixed else PreparedCursor) as cursor:
            cursor.execute(sql, params)

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

    def insert(self, events: Sequence[Any]) -> None:
        if len(events) == 1:
            self._insert_one(events[0])
        else:
            self._insert_many(events)

    def _insert_one(self, event: Any) -> None:
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
            self._insert(insert_event, params)
            return
        rows = ", ".join(["(%s, %s, %s)"] * len(event.deliveries))
        for route, lane in event.deliveries:
            params += (event.id, route, lane)
        self._insert(
            f"WITH e AS ({insert_event}) INSERT INTO {DELIVERY} (event_id, route, lane) "
            f"VALUES {rows}",
            params,
        )

    def _insert_many(self, events: Sequence[Any]) -> None:
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
        self._insert(
            f"""WITH n AS MATERIALIZED (
                SELECT * FROM json_to_recordset(%s::json) AS r({_NEW_EVENT_COLUMNS})
            ), e AS (
                INSERT INTO {EVENT} (id, {EVENT_COLUMNS}, occurred_at)
                SELECT id, {EVENT_COLUMNS}, statement_timestamp() FROM n
            )
            INSERT INTO {DELIVERY} (event_id, route, lane)
            SELECT n.id, d.value->>0, d.value->>1
            FROM n CROSS JOIN LATERAL json_array_elements(n.deliveries) AS d(value)""",
            [body],
        )

    def claim(self, wants: Sequence[Want], token: int, scope: Scope) -> list[Claimed]:
        ready, ready_params = self._where(scope, waiting=False)
        waiting, waiting_params = self._where(scope, waiting=True)
        wanted = orjson.dumps(
            [{"route": w.route.name, "n": w.limit, "lease": w.route.lease} for w in wants]
        ).decode()
        return self._claimed(
            f"""WITH want AS MATERIALIZED (
                SELECT w.*, COALESCE(r.floor, 0) AS floor {self._relaxed_commit()}
                FROM json_to_recordset(%s::json) AS w(route text, n integer, lease float8)
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
            self.lower_floors(ready)
        return held

    def lower_floors(self, ids: Sequence[int]) -> None:
        """Move the floors of these deliveries' routes down to them, where they are above."""
        self._execute(
            f"""UPDATE {ROUTE} r SET floor = LEAST(r.floor, m.id),
            floor_seen = LEAST(r.floor_seen, m.id)
            FROM (SELECT route, min(id) AS id FROM {DELIVERY} WHERE id = ANY(%s)
                  GROUP BY route) m
            WHERE r.name = m.route AND GREATEST(r.floor, r.floor_seen) > m.id""",
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

    def raise_floors(self, names: Iterable[str]) -> None:
        """Move the floors up in two steps, so that commits between two calls are not passed over.

        A row that is committed later than that has a smaller id than the floor: the next call
        scans from the beginning, finds it and lowers the floor again.
        """
        for name in names:
            self._execute(
                f"""WITH seen AS (
                    SELECT COALESCE(
                        (SELECT d.id FROM {DELIVERY} d WHERE d.route = %s AND d.state = 0
                         ORDER BY d.id LIMIT 1),
                        (SELECT last_value FROM {DELIVERY}_id_seq)) AS id
                ), step AS (SELECT s.id, LEAST(s.id, r.floor_seen) AS floor
                            FROM seen s, {ROUTE} r WHERE r.name = %s)
                UPDATE {ROUTE} r SET floor = step.floor, floor_seen = step.id FROM step
                WHERE r.name = %s AND (step.floor < r.floor OR step.id < r.floor_seen
                OR step.floor >= r.floor + {_FLOOR_STEP} OR step.id >= r.floor_seen + {_FLOOR_STEP})
                """,
                [name, name, name],
            )
