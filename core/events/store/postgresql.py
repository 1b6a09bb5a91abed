"""PostgreSQL: SKIP LOCKED, data-modifying CTEs and a floor under each route's index scan."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import psycopg

from core.events.conf import conf
from core.events.state import State
from core.events.store import floors
from core.events.store.base import Store, with_slack
from core.events.store.cursors import BinaryCursor, PreparedCursor
from core.events.store.inserts import insert_many, insert_one, insert_with
from core.events.store.rows import (
    CLAIMED_COLUMNS,
    DELIVERY,
    EVENT,
    ROUTE,
    SETTLEMENT,
    Claimed,
    Release,
    Scope,
    Want,
)

if TYPE_CHECKING:
    from core.events.outbox import NewEvent
    from core.events.routing import Route

# How old, in seconds, a claim's own trail has to be before the next claims begin behind it.
_TRAIL_SECONDS = 0.25
# Claims that look back to the floor take at most this part of the time, but there is one in so
# many seconds: without an old transaction they are cheap, and nearly every claim is one.
_LOOK_BACK_SHARE = 0.05
_LOOK_BACK_EVERY = 1.0


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

    def cursor(self) -> Any:
        return self._native(BinaryCursor)

    def _native(self, kind: type[psycopg.Cursor[Any]]) -> Any:
        """Return a cursor that lets the server bind parameters, seen by Django as its own are."""
        # Made by Django, which looks after the connection first and knows when tests forbid it.
        cursor = self.connection.cursor()
        cursor.cursor = kind(self.connection.connection)
        return cursor

    def after(self, seconds: str) -> str:
        return f"statement_timestamp() + {seconds} * interval '1 second'"

    def seconds_until(self, moment: str) -> str:
        return f"EXTRACT(EPOCH FROM {moment}::timestamptz - statement_timestamp())"

    def records(self, columns: str) -> str:
        return f"(SELECT * FROM json_to_recordset(%s::json) AS r({columns}))"

    def insert(self, events: Sequence[NewEvent]) -> int | None:
        sql, params = insert_one(events[0]) if len(events) == 1 else insert_many(events)
        cursor = self._native(PreparedCursor if conf.prepared_statements else BinaryCursor)
        return self._insert(cursor, sql, params)[1]

    def insert_with(
        self, event: NewEvent, statement: tuple[str, Sequence[Any]]
    ) -> tuple[bool, int | None]:
        # An update finds its row by an index or by reading the whole table, and must not keep the
        # plan from when that was small.
        plan_can_be_kept = statement[0].startswith("INSERT ")
        is_prepared = plan_can_be_kept and conf.prepared_statements
        # Otherwise a cursor of Django's, so that values become what Django makes of them.
        cursor = self._native(PreparedCursor) if is_prepared else self.connection.cursor()
        rows, lowest = self._insert(cursor, *insert_with(event, statement))
        return rows > 0, lowest

    def _insert(self, cursor: Any, sql: str, params: Sequence[Any]) -> tuple[int, int | None]:
        with cursor:
            cursor.execute(sql, params)
            row = cursor.fetchone() if cursor.description else None
            return cursor.rowcount, row[0] if row else None

    def claim(self, wants: Sequence[Want], token: int, scope: Scope) -> list[Claimed]:
        ready, ready_params = self.where(scope, waiting=False)
        waiting, waiting_params = self.where(scope, waiting=True)
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
        rows = self.claimed(
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
        where, params = self.where(scope, waiting=True)
        shuffled = random.sample(list(routes), len(routes))
        wanted = orjson.dumps(
            [{"route": route.name, "lease": with_slack(route.lease)} for route in shuffled]
        ).decode()
        return self.claimed(
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
        rows = self.rows(
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
            floors.lower_if_possible(self, ready)
        return held

    def reach_down(self, names: Sequence[str], lowest: int) -> None:
        floors.reach_down(self, names, lowest)

    def lower_floors(self, ids: Sequence[int]) -> None:
        floors.lower_floors(self, ids)

    def raise_floors(self, names: Sequence[str], *, from_start: bool) -> None:
        floors.raise_floors(self, names, from_start=from_start)

    def lock_route(self, name: str) -> tuple[bool, str, float]:
        sql = f"SELECT paused, grants, {self.epoch} FROM {ROUTE} WHERE name = %s FOR UPDATE"
        rows = self.rows(sql, [name])
        if not rows:
            self.execute(
                f"INSERT INTO {ROUTE} (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", [name]
            )
            rows = self.rows(sql, [name])
        paused, grants, now = rows[0]
        return bool(paused), str(grants), float(now)
