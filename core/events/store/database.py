"""A database: its connection, its dialect and the tools that the steps are written with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connections

from core.events.store.rows import Claimed, Scope


class Database(ABC):
    """What is written differently on each database, and how statements are run."""

    now: str
    epoch: str
    skip_locked = ""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    @property
    def connection(self) -> Any:
        return connections[self.alias]

    # -- dialect --------------------------------------------------------------------------

    @abstractmethod
    def after(self, seconds: str) -> str:
        """Return the SQL of the time that lies `seconds` (an SQL expression) ahead."""

    @abstractmethod
    def seconds_until(self, moment: str) -> str:
        """Return the SQL of the seconds from now to a time."""

    @abstractmethod
    def records(self, columns: str) -> str:
        """Return the SQL of a table read from a JSON array of objects (one parameter)."""

    def among(self, column: str, values: Iterable[Any]) -> tuple[str, list[Any]]:
        """Return the SQL and the parameters of "column is one of these"."""
        values = list(values)
        marks = ", ".join(["%s"] * len(values)) or "NULL"
        return f"{column} IN ({marks})", values

    def uuid(self, value: UUID) -> Any:
        return value

    # -- statements -----------------------------------------------------------------------

    def where(self, scope: Scope, *, waiting: bool) -> tuple[str, list[Any]]:
        """Return the SQL and the parameters of what a scope and, when waiting, the time allow."""
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

    def cursor(self) -> Any:
        """Return a cursor for the steps' statements."""
        return self.connection.cursor()

    def execute(self, sql: str, params: Sequence[Any]) -> int:
        """Run a statement; return how many rows it touched."""
        with self.cursor() as cursor:
            cursor.execute(sql, params)
            return int(cursor.rowcount)

    def rows(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        with self.cursor() as cursor:
            cursor.execute(sql, params)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def ids(self, sql: str, params: Sequence[Any]) -> list[int]:
        """Run a statement; return the first column of its rows."""
        return [row[0] for row in self.rows(sql, params)]

    def claimed(self, sql: str, params: Sequence[Any]) -> list[Claimed]:
        """Run a statement that returns CLAIMED_COLUMNS; return the deliveries."""
        return [Claimed._make(row) for row in self.rows(sql, params)]
