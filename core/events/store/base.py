"""The steps of the engine on either database: claim, lease, renew, release, settle."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
from django.db import transaction

from core.events.store import limits
from core.events.store.database import Database
from core.events.store.lanes import candidates
from core.events.store.rows import (
    CLAIMED_COLUMNS,
    DELIVERY,
    DUTY,
    EVENT,
    EVENT_COLUMNS,
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

# The names of tables and columns are imported from here by what measures the engine.
__all__ = ["DELIVERY", "EVENT", "EVENT_COLUMNS", "ROUTE", "SETTLEMENT", "Store", "with_slack"]


class Store(Database):
    """The statements of one database. Each method is one step and says what it commits."""

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
    def claim_suspect(self, routes: Sequence[Route], token: int, scope: Scope) -> list[Claimed]:
        """Lease one suspect delivery of unordered routes, so that only it can be charged."""

    @abstractmethod
    def settle(self, ids: Sequence[int], token: int, outcome: str, reason: str) -> int:
        """Remove the rows that this token still holds, write the history, return how many."""

    @abstractmethod
    def lock_route(self, name: str) -> tuple[bool, str, float]:
        """Lock a route's state until the end of the transaction.

        Returns whether it is paused, its grants, and the database's time in seconds since 1970.
        """

    # -- what is the same -----------------------------------------------------------------

    def insert_with(
        self, event: NewEvent, statement: tuple[str, Sequence[Any]]
    ) -> tuple[bool, int | None]:
        """Run a statement that writes one row and, if there was one, insert the event.

        They share the caller's transaction, or one of their own. Returns whether there was a row,
        and what `insert` does.
        """
        with transaction.atomic(using=self.alias, savepoint=False):
            was_there = self.execute(*statement) > 0
            return was_there, self.insert([event]) if was_there else None

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
            allowance = limits.Allowance(limit)
            if not unlimited:
                allowance = limits.allowed(self, want.route, limit, grants, now)
            ids = candidates(self, want.route, allowance.count, scope, suspect)
            if want.route.rate is not None and not unlimited:
                limits.remember(self, want.route, want.route.rate, allowance, len(ids), now)
            return self.lease(ids, want.route.lease, token, started=suspect)

    def lease(
        self, ids: Sequence[int], seconds: float, token: int, *, started: bool
    ) -> list[Claimed]:
        """Put these deliveries under lease and return them with their events."""
        if not ids:
            return []
        these, params = self.among("id", ids)
        self.execute(
            f"UPDATE {DELIVERY} SET state = 2, token = %s, started = %s, "
            f"due_at = {self.after('%s')} WHERE {these} AND state IN (0, 1)",
            [token, started, with_slack(seconds), *params],
        )
        return self._leased(ids, token)

    def _leased(self, ids: Sequence[int], token: int) -> list[Claimed]:
        these, params = self.among("d.id", ids)
        return self.claimed(
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
            self.ids(
                f"UPDATE {DELIVERY} SET due_at = {self.after('%s')}, "
                f"started = (started OR %s) WHERE {these} AND token = %s RETURNING id",
                [with_slack(seconds), started, *params, token],
            )
        )

    def held(self, ids: Sequence[int], token: int) -> set[int]:
        """Return which of these rows this token still holds."""
        these, params = self.among("id", ids)
        return set(
            self.ids(f"SELECT id FROM {DELIVERY} WHERE {these} AND token = %s", [*params, token])
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
            self.ids(
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

    def take_duty(self, name: str, seconds: float) -> tuple[str, float, Any] | None:
        """Take a duty for so many seconds, unless another has it.

        Returns its memory, the database's time in seconds since 1970, and until when it is ours:
        that names the holder, since nobody else can take it before.
        """
        sql = (
            f"UPDATE {DUTY} SET until = {self.after('%s')} WHERE name = %s "
            f"AND until <= {self.now} RETURNING memory, {self.epoch}, until"
        )
        rows = self.rows(sql, [seconds, name])
        if not rows and self.execute(
            f"INSERT INTO {DUTY} (name, until) VALUES (%s, {self.now}) "
            "ON CONFLICT (name) DO NOTHING",
            [name],
        ):
            rows = self.rows(sql, [seconds, name])
        return (str(rows[0][0]), float(rows[0][1]), rows[0][2]) if rows else None

    def leave_duty(self, name: str, held_until: Any, seconds: float, memory: str) -> bool:
        """Leave a duty to whoever comes next after so many seconds; return whether it was ours.

        Who took too long has lost it, and must not cut short the turn of who has it now.
        """
        return bool(
            self.execute(
                f"UPDATE {DUTY} SET until = {self.after('%s')}, memory = %s "
                "WHERE name = %s AND until = %s",
                [seconds, memory, name, held_until],
            )
        )

    def ensure_routes(self, names: Sequence[str]) -> None:
        """Make sure that these routes have a row for their state."""
        known = {name for (name,) in self.rows(f"SELECT name FROM {ROUTE}", [])}
        for name in names:
            if name not in known:
                self.execute(
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


def with_slack(lease: float) -> float:
    """Return how long rows are held for a call that may take `lease` seconds.

    A lease is renewed when a twentieth of it has passed, and its result has to be written: so a
    call that keeps to its lease, or is interrupted at its end, never meets the sweep.
    """
    return lease * 1.1 + 0.5
