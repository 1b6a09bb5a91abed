"""What both databases share: the rows, the steps, and the SQL that differs in fragments only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connections, transaction

from core.events.state import State

if TYPE_CHECKING:
    from core.events.outbox import NewEvent
    from core.events.routing import Rate, Route

EVENT = "signalbox_events_event"
DELIVERY = "signalbox_events_delivery"
SETTLEMENT = "signalbox_events_settlement"
ROUTE = "signalbox_events_route"
DUTY = "signalbox_events_duty"

EVENT_COLUMNS = (
    "name, version, data, sensitive, sender, key, actor_id, tenant_id, correlation_id, causation_id"
)
CLAIMED_COLUMNS = (
    "d.id, d.route, d.lane, d.attempts, d.failures, d.suspect, e.id, e.name, e.version, e.data, "
    "e.sensitive, e.sender, e.key, e.occurred_at, e.actor_id, e.tenant_id, e.correlation_id, "
    "e.causation_id"
)
# What keeps a waiting delivery back: one of its lane that is held, or one that is ahead of it.
FREE_LANE = f"""(d.lane IS NULL OR (NOT EXISTS (
    SELECT 1 FROM {DELIVERY} b WHERE b.route = d.route AND b.lane = d.lane
    AND b.state IN (1, 2) AND (b.state = 2 OR b.id < d.id)
) AND NOT EXISTS (
    SELECT 1 FROM {DELIVERY} b WHERE b.route = d.route AND b.lane = d.lane
    AND b.state = 0 AND b.id < d.id)))"""


class Claimed(NamedTuple):
    """A delivery under lease, with its event."""

    id: int
    route: str
    lane: str | None
    attempts: int
    failures: int
    suspect: bool
    event_id: UUID
    name: str
    version: int
    data: str
    sensitive: str
    sender: str
    key: str | None
    occurred_at: datetime
    actor_id: str | None
    tenant_id: str | None
    correlation_id: str | None
    causation_id: UUID | None


class Lapsed(NamedTuple):
    """A delivery whose lease ran out; `row` is None when its event is gone."""

    id: int
    route: str
    token: int
    started: bool
    row: Claimed | None


@dataclass(frozen=True, slots=True)
class Want:
    """How many deliveries of a route a claim may take."""

    route: Route
    limit: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What narrows or widens a claim.

    Only these events; not these deliveries; those that wait for their backoff as well; and whether
    to look thoroughly, for late commits too, or where this process left off.
    """

    events: Sequence[UUID] | None = None
    exclude: Sequence[int] = ()
    scheduled: bool = False
    thorough: bool = True


@dataclass(slots=True)
class Release:
    """How a delivery goes back: its next state, and what is added to its counts."""

    id: int
    state: State
    delay: float | None = None
    attempts: int = 0
    failures: int = 0
    error: str | None = None
    suspect: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "state": int(self.state),
            "delay": self.delay,
            "attempts": self.attempts,
            "failures": self.failures,
            "error": self.error,
            "suspect": self.suspect,
        }


@dataclass(slots=True)
class Due:
    """What a route has that could be claimed now: its first ready and first waiting delivery."""

    ready: int | None
    waiting: str | None


@dataclass(slots=True)
class Allowance:
    """How many more deliveries a limited route may claim, and the grants to remember."""

    count: int
    grants: list[list[float]] = field(default_factory=list)
    closed_for: float | None = None


class Store(ABC):
    """The statements of one database. Each method is one step and says what it commits."""

    now: str
    epoch: str

    def __init__(self, alias: str) -> None:
        self.alias = alias

    @property
    def connection(self) -> Any:
        return connections[self.alias]

    # -- what differs ---------------------------------------------------------------------

    @abstractmethod
    def insert(self, events: Sequence[NewEvent]) -> int | None:
        """Insert events with their deliveries, in the caller's transaction.

        Returns the lowest id of the deliveries, where floors are kept and it is wanted.
        """

    @abstractmethod
    def claim(self, wants: Sequence[Want], token: int, scope: Scope) -> list[Claimed]:
        """Lease due deliveries of unordered routes in one statement that commits by itself."""

    @abstractmethod
    def settle(self, ids: Sequence[int], token: int, outcome: str, reason: str) -> int:
        """Remove the rows that this token still holds, write the history, return how many."""

    @abstractmethod
    def after(self, seconds: str) -> str:
        """Return the SQL of the time that lies `seconds` (an SQL expression) ahead."""

    @abstractmethod
    def records(self, columns: str) -> str:
        """Return the SQL of a table read from a JSON array of objects (one parameter)."""

    @abstractmethod
    def lock_route(self, name: str) -> tuple[bool, str, float]:
        """Lock a route's state until the end of the transaction.

        Returns whether it is paused, its grants, and the database's time in seconds since 1970.
        """

    skip_locked = ""

    # -- what is the same -----------------------------------------------------------------

    def claim_exclusive(
        self, want: Want, token: int, scope: Scope, *, suspect: bool = False, unlimited: bool
    ) -> list[Claimed]:
        """Lease due deliveries of an ordered or limited route while holding its lock.

        The lock comes in a statement of its own: the claim's snapshot must be newer than the
        claim of the worker that held it before, or it would miss what that one leased.
        """
        with transaction.atomic(using=self.alias):
            paused, grants, now = self.lock_route(want.route.name)
            if paused:
                return []
            limit = min(want.limit, 1) if suspect else want.limit
            allowance = Allowance(limit)
            if not unlimited:
                allowance = self._allowance(want.route, limit, grants, now)
            ids = self._candidates(want.route, allowance.count, scope, suspect)
            if want.route.rate is not None and not unlimited:
                self._remember(want.route, allowance, len(ids), now)
            return self.lease(ids, want.route.lease, token, started=suspect)

    def claim_suspect(self, routes: Sequence[Route], token: int, scope: Scope) -> list[Claimed]:
        """Lease one suspect delivery of unordered routes, so that only it can be charged."""
        if not routes:
            return []
        with transaction.atomic(using=self.alias):
            these, names = self.among("d.route", (route.name for route in routes))
            where, params = self._where(scope, waiting=True)
            found = self._rows(
                f"SELECT d.id, d.route FROM {DELIVERY} d WHERE {these} "
                f"AND d.state = 1 AND d.suspect AND d.route NOT IN "
                f"(SELECT name FROM {ROUTE} WHERE paused) AND {where} "
                f"ORDER BY d.due_at LIMIT 1 {self.skip_locked}",
                [*names, *params],
            )
            if not found:
                return []
            ((delivery, name),) = found
            lease = next(route.lease for route in routes if route.name == name)
            return self.lease([delivery], lease, token, started=True)

    def _candidates(self, route: Route, limit: int, scope: Scope, suspect: bool) -> list[int]:
        if limit < 1:
            return []
        free = FREE_LANE if route.ordered else "1 = 1"
        where, params = self._where(scope, waiting=True)
        ids = self._ids(
            f"SELECT d.id FROM {DELIVERY} d WHERE d.route = %s AND d.state = 1 "
            f"AND {'' if suspect else 'NOT '}d.suspect AND {where} AND {free} "
            f"ORDER BY d.due_at LIMIT %s {self.skip_locked}",
            [route.name, *params, limit],
        )
        if suspect or len(ids) >= limit:
            return ids
        where, params = self._where(scope, waiting=False)
        return ids + self._ready(route, limit - len(ids), where, params)

    def _ready(self, route: Route, limit: int, where: str, params: list[Any]) -> list[int]:
        """Return ready deliveries in the order fired, whose lanes are free.

        A bounded window is looked at first, and each lane in it is asked once what it holds; to ask
        for each delivery would scan what was settled and not vacuumed yet as often. When one
        blocked lane fills the window, the heads of the other lanes are found by skipping from lane
        to lane (a loose index scan), so that a long backlog behind one key costs its length once.
        """
        if not route.ordered:
            return self._ids(
                f"SELECT d.id FROM {DELIVERY} d WHERE d.route = %s AND d.state = 0 "
                f"AND d.id >= {self._floor} AND {where} ORDER BY d.id LIMIT %s {self.skip_locked}",
                [route.name, route.name, *params, limit],
            )
        window = max(4 * limit, 400)
        found = self._ids(
            f"""WITH first AS MATERIALIZED (
                SELECT d.id, d.lane FROM {DELIVERY} d WHERE d.route = %s AND d.state = 0
                AND d.id >= {self._floor} AND {where} ORDER BY d.id LIMIT %s
            ), bounds AS MATERIALIZED (
                SELECT l.lane, (
                    SELECT min(CASE b.state WHEN 2 THEN 0 ELSE b.id END) FROM {DELIVERY} b
                    WHERE b.route = %s AND b.lane = l.lane AND b.state IN (1, 2)) AS id
                FROM (SELECT DISTINCT lane FROM first WHERE lane IS NOT NULL) l
            ) SELECT f.id FROM first f LEFT JOIN bounds ON bounds.lane = f.lane
            WHERE bounds.id IS NULL OR f.id < bounds.id ORDER BY f.id LIMIT %s""",
            [route.name, route.name, *params, window, route.name, limit],
        )
        if found:
            return found
        return self._ids(
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

    _floor = f"COALESCE((SELECT floor FROM {ROUTE} WHERE name = %s), 0)"

    def lease(
        self, ids: Sequence[int], seconds: float, token: int, *, started: bool
    ) -> list[Claimed]:
        """Put these deliveries under lease and return them with their events."""
        if not ids:
            return []
        these, params = self.among("id", ids)
        self._execute(
            f"UPDATE {DELIVERY} SET state = 2, token = %s, started = %s, "
            f"due_at = {self.after('%s')} WHERE {these} AND state IN (0, 1)",
            [token, started, with_slack(seconds), *params],
        )
        return self._leased(ids, token)

    def _leased(self, ids: Sequence[int], token: int) -> list[Claimed]:
        these, params = self.among("d.id", ids)
        return self._claimed(
            f"SELECT {CLAIMED_COLUMNS} FROM {DELIVERY} d JOIN {EVENT} e ON e.id = d.event_id "
            f"WHERE {these} AND d.token = %s ORDER BY d.id",
            [*params, token],
        )

    def renew(
        self, ids: Sequence[int], token: int, seconds: float, *, started: bool = False
    ) -> set[int]:
        """Give the rows that this token still holds a whole lease; return which they are.

        With `started` they are marked as being handled alone; a mark from before stays.
        """
        these, params = self.among("id", ids)
        return set(
            self._ids(
                f"UPDATE {DELIVERY} SET due_at = {self.after('%s')}, "
                f"started = (started OR %s) WHERE {these} AND token = %s RETURNING id",
                [with_slack(seconds), started, *params, token],
            )
        )

    def held(self, ids: Sequence[int], token: int) -> set[int]:
        """Return which of these rows this token still holds."""
        these, params = self.among("id", ids)
        return set(
            self._ids(f"SELECT id FROM {DELIVERY} WHERE {these} AND token = %s", [*params, token])
        )

    def release(self, releases: Sequence[Release], token: int) -> set[int]:
        """Give rows that this token still holds back or to the dead; return which they were."""
        if not releases:
            return set()
        columns = (
            "id bigint, state smallint, delay double precision, attempts integer, "
            "failures integer, error text, suspect boolean"
        )
        body = orjson.dumps([release.as_dict() for release in releases]).decode()
        return set(
            self._ids(
                f"""UPDATE {DELIVERY} SET state = x.state, token = NULL, started = false,
                due_at = CASE WHEN x.delay IS NULL THEN NULL ELSE {self.after("x.delay")} END,
                attempts = {DELIVERY}.attempts + x.attempts,
                failures = {DELIVERY}.failures + x.failures,
                suspect = {DELIVERY}.suspect OR x.suspect,
                error = COALESCE(x.error, {DELIVERY}.error),
                failed_at = CASE WHEN x.error IS NULL THEN failed_at ELSE {self.now} END
                FROM {self.records(columns)} x
                WHERE {DELIVERY}.id = x.id AND {DELIVERY}.token = %s
                RETURNING {DELIVERY}.id""",
                [body, token],
            )
        )

    def expired(self, limit: int) -> list[Lapsed]:
        """Return deliveries whose lease ran out.

        To be called in a transaction: on PostgreSQL the rows stay locked until its end.
        """
        found = self._rows(
            f"SELECT d.id, d.route, d.token, d.started FROM {DELIVERY} d WHERE d.state = 2 "
            f"AND d.due_at <= {self.now} ORDER BY d.due_at LIMIT %s {self.skip_locked}",
            [limit],
        )
        if not found:
            return []
        these, params = self.among("d.id", (id for id, *_ in found))
        claimed = self._claimed(
            f"SELECT {CLAIMED_COLUMNS} FROM {DELIVERY} d JOIN {EVENT} e ON e.id = d.event_id "
            f"WHERE {these}",
            params,
        )
        rows = {row.id: row for row in claimed}
        return [
            Lapsed(id, route, token, bool(started), rows.get(id))
            for id, route, token, started in sorted(found)
        ]

    def due(self, routes: Sequence[Route]) -> dict[str, Due]:
        """Return what each of these routes has due, without those that may not claim it now."""
        names = orjson.dumps([{"name": route.name} for route in routes]).decode()
        rows = self._rows(
            f"""SELECT n.name,
            (SELECT d.id FROM {DELIVERY} d WHERE d.route = n.name AND d.state = 0
             AND d.id >= COALESCE((SELECT r.floor FROM {ROUTE} r WHERE r.name = n.name), 0)
             ORDER BY d.id LIMIT 1),
            (SELECT d.due_at FROM {DELIVERY} d WHERE d.route = n.name AND d.state = 1
             AND d.due_at <= {self.now} ORDER BY d.due_at LIMIT 1)
            FROM {self.records("name text")} n
            WHERE NOT EXISTS (SELECT 1 FROM {ROUTE} r WHERE r.name = n.name
             AND (r.paused OR r.closed_until > {self.now}))""",
            [names],
        )
        found = {
            name: Due(ready, None if waiting is None else str(waiting))
            for name, ready, waiting in rows
            if (ready, waiting) != (None, None)
        }
        limited = [route for route in routes if route.name in found and route.concurrency]
        for route in limited:
            if self.busy(route) >= (route.concurrency or 0):
                del found[route.name]
        return found

    def busy(self, route: Route) -> int:
        """Return how many claims of a route are under unexpired leases, over all workers."""
        ((count,),) = self._rows(
            f"SELECT count(DISTINCT d.token) FROM {DELIVERY} d WHERE d.route = %s "
            f"AND d.state = 2 AND d.due_at > {self.now}",
            [route.name],
        )
        return int(count)

    def _allowance(self, route: Route, limit: int, grants: str, now: float) -> Allowance:
        if route.concurrency is not None and self.busy(route) >= route.concurrency:
            limit = 0
        if route.rate is None:
            return Allowance(limit)
        return allowance(route.rate, limit, orjson.loads(grants), now)

    def _remember(self, route: Route, allowed: Allowance, taken: int, now: float) -> None:
        assert route.rate is not None
        grants = add_grant(route.rate, allowed.grants, now, taken)
        closed_for = closing_time(route.rate, grants, now)
        self._execute(
            f"UPDATE {ROUTE} SET grants = %s, closed_until = "
            f"CASE WHEN %s > 0 THEN {self.after('%s')} ELSE NULL END WHERE name = %s",
            [orjson.dumps(grants).decode(), closed_for, closed_for, route.name],
        )

    def open_in(self, names: Sequence[str]) -> float | None:
        """Return the seconds until the first of these rate-limited routes opens, if one is shut."""
        these, params = self.among("name", names)
        rows = self._rows(
            f"SELECT min(closed_until) FROM {ROUTE} WHERE {these} AND closed_until > {self.now}",
            params,
        )
        if rows[0][0] is None:
            return None
        until = rows[0][0]
        ((seconds,),) = self._rows(f"SELECT {self.seconds_until('%s')}", [until])
        return max(float(seconds), 0.0)

    @abstractmethod
    def seconds_until(self, moment: str) -> str:
        """Return the SQL of the seconds from now to a time."""

    def take_duty(self, name: str, seconds: float) -> tuple[str, float, Any] | None:
        """Take a duty for so many seconds, unless another has it.

        Returns its memory, the database's time in seconds since 1970, and until when it is ours:
        that names the holder, since nobody else can take it before.
        """
        sql = (
            f"UPDATE {DUTY} SET until = {self.after('%s')} WHERE name = %s "
            f"AND until <= {self.now} RETURNING memory, {self.epoch}, until"
        )
        rows = self._rows(sql, [seconds, name])
        if not rows and self._execute(
            f"INSERT INTO {DUTY} (name, until) VALUES (%s, {self.now}) "
            "ON CONFLICT (name) DO NOTHING",
            [name],
        ):
            rows = self._rows(sql, [seconds, name])
        return (str(rows[0][0]), float(rows[0][1]), rows[0][2]) if rows else None

    def leave_duty(self, name: str, held_until: Any, seconds: float, memory: str) -> bool:
        """Leave a duty to whoever comes next after so many seconds; return whether it was ours.

        Who took too long has lost it, and must not cut short the turn of who has it now.
        """
        return bool(
            self._execute(
                f"UPDATE {DUTY} SET until = {self.after('%s')}, memory = %s "
                "WHERE name = %s AND until = %s",
                [seconds, memory, name, held_until],
            )
        )

    def ensure_routes(self, names: Sequence[str]) -> None:
        """Make sure that these routes have a row for their state."""
        known = set(self._column(f"SELECT name FROM {ROUTE}"))
        for name in names:
            if name not in known:
                self._execute(
                    f"INSERT INTO {ROUTE} (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", [name]
                )

    def lower_floors(self, ids: Sequence[int]) -> None:
        """Make sure that claims see these deliveries, which are ready again."""
        return

    def reach_down(self, names: Sequence[str], lowest: int) -> None:
        """Make sure that claims of these routes see deliveries from this id upwards."""
        return

    def raise_floors(self, names: Sequence[str], *, from_start: bool) -> None:
        """Move each route's floor up to its first ready delivery, where that pays."""
        return

    # -- tools ----------------------------------------------------------------------------

    def among(self, column: str, values: Iterable[Any]) -> tuple[str, list[Any]]:
        """Return the SQL and the parameters of "column is one of these"."""
        values = list(values)
        marks = ", ".join(["%s"] * len(values)) or "NULL"
        return f"{column} IN ({marks})", values

    def _where(self, scope: Scope, *, waiting: bool) -> tuple[str, list[Any]]:
        parts = ["1 = 1"]
        params: list[Any] = []
        if waiting and not scope.scheduled:
            parts.append(f"d.due_at <= {self.now}")
        if scope.events is not None:
            these, events = self.among("d.event_id", map(self.uuid, scope.events))
            parts.append(these)
            params += events
        if scope.exclude:
            these, excluded = self.among("d.id", scope.exclude)
            parts.append(f"NOT ({these})")
            params += excluded
        return " AND ".join(parts), params

    def uuid(self, value: UUID) -> Any:
        return value

    def _cursor(self) -> Any:
        return self.connection.cursor()

    def _execute(self, sql: str, params: Sequence[Any]) -> int:
        with self._cursor() as cursor:
            cursor.execute(sql, params)
            return int(cursor.rowcount)

    def _rows(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._cursor() as cursor:
            cursor.execute(sql, params)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def _ids(self, sql: str, params: Sequence[Any]) -> list[int]:
        return [row[0] for row in self._rows(sql, params)]

    def _column(self, sql: str) -> list[Any]:
        return [row[0] for row in self._rows(sql, [])]

    def _claimed(self, sql: str, params: Sequence[Any]) -> list[Claimed]:
        return [Claimed._make(row) for row in self._rows(sql, params)]


def with_slack(lease: float) -> float:
    """Return how long rows are held for a call that may take `lease` seconds.

    A lease is renewed when a twentieth of it has passed, and its result has to be written: so a
    call that keeps to its lease, or is interrupted at its end, never meets the sweep.
    """
    return lease * 1.1 + 0.5


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
