"""Keys of many rows in SQL: given as one parameter, and returned by an UPDATE."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections, models, transaction
from django.db.models import F
from django.db.models.lookups import Lookup
from django.db.models.sql import UpdateQuery

Rows = models.QuerySet[Any, Any]


class OneOf(Lookup):
    """The condition that a column holds one of these values, however many there are.

    They travel as one parameter: `IN (...)` has one for each, and SQLite refuses many of them.
    """

    prepare_rhs = False

    def __init__(self, name: str, values: Any) -> None:
        super().__init__(F(name) if isinstance(name, str) else name, list(values))

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return the condition for PostgreSQL."""
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", [*params, self._prepared(connection)]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return the condition for SQLite."""
        column, params = self.process_lhs(compiler, connection)
        values = json.dumps(self._prepared(connection), default=str)
        return f"{column} IN (SELECT value FROM json_each(%s))", [*params, values]

    def _prepared(self, connection: Any) -> list[Any]:
        field = self.lhs.output_field
        return [field.get_db_prep_value(value, connection) for value in self.rhs]


def every_row(model: type[models.Model], using: str) -> Rows:
    """Return all rows of the model, past whatever its managers hide."""
    return models.QuerySet(model, using=using)


def can_return_keys(rows: Rows, values: Mapping[str, Any]) -> bool:
    """Tell whether one UPDATE can set these values and say which rows it changed."""
    meta = rows.model._meta
    tables = {meta.get_field(name).model._meta.concrete_model for name in values}
    # Else these are columns of a parent's table, which Django updates by a statement of its own.
    returning = connections[rows.db].features.can_return_columns_from_insert
    return returning and tables == {meta.concrete_model}


def update_returning_keys(rows: Rows, values: Mapping[str, Any]) -> list[Any]:
    """Update the rows with one statement; return the keys of exactly those that it changed."""
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(values)
    # What the values need of annotations is in them now.
    query.clear_select_clause()
    query.clear_ordering(force=True)
    compiler = query.get_compiler(rows.db)
    key = rows.model._meta.pk.get_col(rows.model._meta.db_table)
    with transaction.mark_for_rollback_on_error(using=rows.db):
        try:
            sql, params = compiler.as_sql()
        except EmptyResultSet:
            return []
        column, _ = compiler.compile(key)
        with connections[rows.db].cursor() as cursor:
            cursor.execute(f"{sql} RETURNING {column}", params)
            found = cursor.fetchall()
    converters = compiler.get_converters([key])
    if converters:
        found = compiler.apply_converters(found, converters)
    return [pk for (pk,) in found]
