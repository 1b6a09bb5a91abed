"""Cursors for PostgreSQL: one that reads cheaply, one for prepared statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg._queries import PostgresQuery

if TYPE_CHECKING:
    from typing import Self


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
