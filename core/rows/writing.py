"""The moments in which Django has decided how it writes a row, and has not written it yet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models import sql

_WRITES = ("_do_update", "_do_insert")
_CALLS_THEM = ("_save_table", "_save_parents")

# A statement that writes one row, and its parameters.
Statement = tuple[str, Sequence[Any]]


@dataclass(slots=True)
class Write:
    """How a row is about to be written."""

    using: str
    update_fields: Collection[str] | None
    # The row is inserted; otherwise it is updated.
    creates: bool
    # Writes it as Django does and returns what Django returns.
    run: Callable[[], Any]
    # Returns the statement, for who runs it in another way; None if it takes none, or more.
    statement: Callable[[], Statement | None]


class WritePart(models.Model):
    """Lets the parts of a model take columns out of an update, and see to how it is written."""

    # While a save is under way: what it does not write, although it is a save of all fields.
    _left_alone: Collection[str] = ()

    class Meta:
        abstract = True

    def _do_update(
        self, base_qs: Any, using: Any, pk_val: Any, values: Any, update_fields: Any, *more: Any
    ) -> Any:
        if update_fields is None:
            self._left_alone = self._stored_already(using)
            values = [each for each in values if each[0].attname not in self._left_alone]
        usual = super()._do_update
        run = partial(usual, base_qs, using, pk_val, values, update_fields, *more)
        statement = partial(_update, base_qs, pk_val, values)
        return self._write(Write(using, update_fields, False, run, statement))

    def _do_insert(
        self, manager: Any, using: Any, fields: Any, returning_fields: Any, raw: Any
    ) -> Any:
        usual = super()._do_insert  # type: ignore[misc]  # the stubs leave it out
        run = partial(usual, manager, using, fields, returning_fields, raw)
        statement = partial(_insert, self, using, fields, returning_fields)
        return self._write(Write(using, None, True, run, statement))

    def _stored_already(self, using: str) -> set[str]:
        """Return the attributes that a save of all fields does not write."""
        return set()

    def _write(self, write: Write) -> Any:
        """Write the row; return what `write.run` does."""
        return write.run()


@cache
def is_joinable(model: type[models.Model]) -> bool:
    """Tell whether a save of this model is one plain statement, written by WritePart.

    It is not where Django needs several, where somebody else has a hand in how rows are written,
    or where a field brings SQL of its own, whose parameters only Django can place.
    """
    concrete: Any = model._meta.concrete_model
    meta, django = concrete._meta, models.Model
    return (
        not (meta.parents or meta.auto_created or meta.select_on_save)
        and all(_definers(model, name) == [WritePart, django] for name in _WRITES)
        and all(_definers(model, name) == [django] for name in _CALLS_THEM)
        and all(_is_plain(field) for field in meta.local_concrete_fields)
    )


@cache
def is_known_before_insert(model: type[models.Model]) -> bool:
    """Tell whether the database adds nothing to a new row, such as its key."""
    return not model._meta.db_returning_fields


def _definers(model: type[models.Model], name: str) -> list[type]:
    return [base for base in model.__mro__ if name in vars(base)]


def _is_plain(field: models.Field[Any, Any]) -> bool:
    kind: Any = type(field)
    binary: Any = models.BinaryField
    placed_by = getattr(kind, "get_placeholder", None)
    filled_in_by = kind.pre_save.__module__
    return placed_by in (None, binary.get_placeholder) and filled_in_by.startswith(
        ("django.", "core.parts.")
    )


def execute(statement: Statement, using: str) -> bool:
    """Run a statement that writes one row; return whether there was one."""
    with connections[using].cursor() as cursor:
        cursor.execute(*statement)
        return bool(cursor.rowcount)


def _update(rows: models.QuerySet[Any, Any], key: Any, values: Sequence[Any]) -> Statement | None:
    if not values:
        return None
    query: Any = rows.filter(pk=key).query.chain(sql.UpdateQuery)
    query.add_update_fields(values)
    query.annotations = {}
    try:
        statement: Statement = query.get_compiler(rows.db).as_sql()
    except EmptyResultSet:
        # No row can be meant, as by a key beyond what its column holds.
        return None
    return statement


def _insert(
    row: models.Model, using: str, fields: Sequence[Any], returning_fields: Any
) -> Statement | None:
    if returning_fields:
        return None
    query = sql.InsertQuery(row._meta.concrete_model)
    query.insert_values(fields, [row])
    ((text, params),) = query.get_compiler(using).as_sql()
    return text, params
