"""Cursors for PostgreSQL: one that reads cheaply, one for prepared statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg._queries import PostgresQuery
from psycopg.adapt import PyFormat

if TYPE_CHECKING:
    from typing import Self


class BinaryCursor(psycopg.Cursor[Any]):
    """A cursor whose results come in the binary form, which costs half to read."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        # Never prepared: a plan that was kept since the tables were empty would scan them whole.
        return super().execute(query, params, binary=True, prepare=False, **options)


class UntypedQuery(PostgresQuery):
    """Parameters sent as text, whose types the server takes from the columns that they are for.

    With types of their own, a statement would be prepared anew for each combination of values and
    NULLs. And a number too large for the Int2 or Int4 that Django makes of it, psycopg cuts off.
    """

    __slots__ = ()

    def dump(self, vars: Any) -> None:
        """Fill in the parameters."""
        self._want_formats = [PyFormat.TEXT] * len(vars)
        super().dump(vars)
        self.types = (0,) * len(vars)


class PreparedCursor(psycopg.Cursor[Any]):
    """A cursor for prepared statements: parsing and planning cost an insert as much as running."""

    _query_cls = UntypedQuery

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        connection = self.connection
        # Django switches prepared statements off, and this brings them back for one statement: a
        # connection with a threshold would remember the last hundred texts of all others as well.
        threshold, connection.prepare_threshold = connection.prepare_threshold, 0
        try:
            super().execute(query, params, prepare=True, **options)
        finally:
            connection.prepare_threshold = threshold
        if self._query is None:
            # Psycopg leaves it out for a statement that was prepared before; Django logs it.
            self._query = PostgresQuery(self._tx)
            self._query.query = query.encode()
        return self
