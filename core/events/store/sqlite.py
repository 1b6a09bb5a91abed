"""SQLite: the same steps for one writer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from core.events.store.base import Store, with_slack
from core.events.store.rows import (
    DELIVERY,
    EVENT,
    EVENT_COLUMNS,
    ROUTE,
    SETTLEMENT,
    Claimed,
    Scope,
    Want,
)

if TYPE_CHECKING:
    from core.events.routing import Route

# Each want is two SELECTs of a compound, which may have 500.
_WANTS = 200


class SqliteStore(Store):
    """The store on SQLite 3.38 or newer.

    SQLite's clock is that of the process, which for one machine is the same thing.
    """

    # Times are text and compare as text, so these are written as Django writes them: with six
    # decimals, or with none where all are zero.
    now = "replace(strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now'), '.000000', '')"
    epoch = "(julianday('now') - 2440587.5) * 86400.0"

    def after(self, seconds: str) -> str:
        shift = f"printf('%%+.3f seconds', {seconds})"
        moment = f"strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', {shift})"
        return f"replace({moment}, '.000000', '')"

    def seconds_until(self, moment: str) -> str:
        return f"(julianday({moment}) - julianday('now')) * 86400.0"

    def records(self, columns: str) -> str:
        names = [column.split()[0] for column in columns.split(",")]
        fields = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in names)
        return f"(SELECT {fields} FROM json_each(%s))"

    def uuid(self, value: UUID) -> Any:
        return value.hex

    def insert(self, events: Sequence[Any]) -> int | None:
        # No savepoint: where a transaction is open already, an error here breaks all of it.
        with transaction.atomic(using=self.alias, savepoint=False):
            self.connection.cursor().executemany(
                f"INSERT INTO {EVENT} (id, {EVENT_COLUMNS}, occurred_at) VALUES "
                f"(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, {self.now})",
                [self._event_row(event) for event in events],
            )
            deliveries = [
                (event.id.hex, route, lane) for event in events for route, lane in event.deliveries
            ]
            if deliveries:
                self.connection.cursor().executemany(
                    f"INSERT INTO {DELIVERY} (event_id, route, lane) VALUES (%s, %s, %s)",
                    deliveries,
                )
        return None

    @staticmethod
    def _event_row(event: Any) -> tuple[Any, ...]:
        context = event.context
        return (
            event.id.hex,
            event.name,
            event.version,
            event.data,
            event.sensitive,
            event.sender,
            event.key,
            context.actor_id,
            context.tenant_id,
            context.correlation_id or str(event.id),
            context.causation_id.hex if context.causation_id else None,
        )

    def claim(self, wants: Sequence[Want], token: int, scope: Scope) -> list[Claimed]:
        found = [
            row
            for start in range(0, len(wants), _WANTS)
            for row in self._due_rows(wants[start : start + _WANTS], scope)
        ]
        if not found:
            return []
        leases = {want.route.name: want.route.lease for want in wants}
        taken: list[int] = []
        with transaction.atomic(using=self.alias, savepoint=False):
            for name, rows in groupby(sorted(found, key=lambda row: row[1]), lambda row: row[1]):
                taken += self._take([row[0] for row in rows], leases[name], token, scope)
            return self._leased(taken, token) if taken else []

    def _due_rows(self, wants: Sequence[Want], scope: Scope) -> list[tuple[Any, ...]]:
        """Look without a lock; what another worker takes meanwhile is not taken again."""
        parts: list[str] = []
        params: list[Any] = []
        for want in wants:
            for state, order in ((1, "d.due_at"), (0, "d.id")):
                where, more = self.where(scope, waiting=state == 1)
                parts.append(
                    f"SELECT * FROM (SELECT d.id, d.route FROM {DELIVERY} d "
                    f"WHERE d.route = %s AND d.state = {state} "
                    f"AND (d.state = 0 OR NOT d.suspect) AND {where} ORDER BY {order} LIMIT %s)"
                )
                params += [want.route.name, *more, want.limit]
        return self.rows(
            f"SELECT id, route FROM ({' UNION ALL '.join(parts)}) "
            f"WHERE route NOT IN (SELECT name FROM {ROUTE} WHERE paused)",
            params,
        )

    def _take(self, ids: list[int], lease: float, token: int, scope: Scope) -> list[int]:
        marks = ", ".join(["%s"] * len(ids))
        # Meanwhile another worker may have taken one and put it off, or died with it.
        due, params = self.where(scope, waiting=True)
        return self.ids(
            f"UPDATE {DELIVERY} AS d SET state = 2, token = %s, started = 0, "
            f"due_at = {self.after('%s')} WHERE d.id IN ({marks}) "
            f"AND (d.state = 0 OR (d.state = 1 AND NOT d.suspect AND {due})) RETURNING id",
            [token, with_slack(lease), *ids, *params],
        )

    def claim_suspect(self, routes: Sequence[Route], token: int, scope: Scope) -> list[Claimed]:
        """Lease one suspect delivery of unordered routes, so that only it can be charged."""
        if not routes:
            return []
        with transaction.atomic(using=self.alias):
            these, names = self.among("d.route", (route.name for route in routes))
            where, params = self.where(scope, waiting=True)
            found = self.rows(
                f"SELECT d.id, d.route FROM {DELIVERY} d WHERE {these} "
                f"AND d.state = 1 AND d.suspect AND d.route NOT IN "
                f"(SELECT name FROM {ROUTE} WHERE paused) AND {where} "
                "ORDER BY d.due_at LIMIT 1",
                [*names, *params],
            )
            if not found:
                return []
            ((delivery, name),) = found
            lease = next(route.lease for route in routes if route.name == name)
            return self.lease([delivery], lease, token, started=True)

    def settle(self, ids: Sequence[int], token: int, outcome: str, reason: str) -> int:
        marks = ", ".join(["%s"] * len(ids))
        with transaction.atomic(using=self.alias, savepoint=False):
            gone = self.rows(
                f"DELETE FROM {DELIVERY} WHERE id IN ({marks}) AND token = %s "
                "RETURNING route, event_id",
                [*ids, token],
            )
            for route, rows in groupby(sorted(gone), lambda row: row[0]):
                events = [str(UUID(row[1])) for row in rows]
                self.execute(
                    f"INSERT INTO {SETTLEMENT} (route, outcome, reason, count, events, settled_at) "
                    f"VALUES (%s, %s, %s, %s, %s, {self.now})",
                    [route, outcome, reason, len(events), " ".join(events)],
                )
        return len(gone)

    def lock_route(self, name: str) -> tuple[bool, str, float]:
        # A write takes the lock of the whole database, whatever mode the transaction began in.
        self.execute(
            f"INSERT INTO {ROUTE} (name) VALUES (%s) ON CONFLICT (name) DO UPDATE SET name = name",
            [name],
        )
        ((paused, grants, now),) = self.rows(
            f"SELECT paused, grants, {self.epoch} FROM {ROUTE} WHERE name = %s",
            [name],
        )
        return bool(paused), str(grants), float(now)

    def claimed(self, sql: str, params: Sequence[Any]) -> list[Claimed]:
        return [_typed(Claimed._make(row)) for row in self.rows(sql, params)]


def _typed(row: Claimed) -> Claimed:
    return row._replace(
        suspect=bool(row.suspect),
        event_id=UUID(row.event_id) if isinstance(row.event_id, str) else row.event_id,
        occurred_at=_time(row.occurred_at),
        causation_id=UUID(row.causation_id) if isinstance(row.causation_id, str) else None,
    )


def _time(value: Any) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=UTC)
