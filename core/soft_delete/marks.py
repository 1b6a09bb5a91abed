"""The marks of deletion, set and cleared for many rows with one statement.

`is_deleted` and `deleted_at` always change together. All rows that one deletion marks, those that
went with the others included, share one `deleted_at`: it is what restoring tells them by.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import connections, models
from django.utils import timezone

from core.context import current_context
from core.parts.audit import AuditPart
from core.rows.announcements import announce_alike, announce_bulk, emits_events
from core.rows.changes import diff
from core.rows.keys import OneOf, Rows, can_return_keys, every_row, update_returning_keys
from core.signals.audit_signals import model_restored, model_soft_deleted

Model = type[models.Model]
Keys = Collection[Any]
Times = dict[Any, datetime | None]

MARKS = ("is_deleted", "deleted_at")


def is_soft_deletable(model: Model) -> bool:
    """Tell whether rows of this model are marked when they are deleted."""
    names = {field.name for field in model._meta.concrete_fields}
    return names.issuperset(MARKS)


def table_of(model: Model) -> Model:
    """Return the model in whose table the marks are: this one, or a parent of it."""
    return model._meta.get_field("is_deleted").model


def mark(rows: Rows, at: datetime) -> list[Any]:
    """Mark those rows that are not deleted yet; return their keys. Nothing is announced."""
    return _set(alone(rows).filter(is_deleted=False), rows.model, is_deleted=True, deleted_at=at)


def unmark(rows: Rows) -> list[Any]:
    """Clear the marks of those rows that are deleted; return their keys. Nothing is announced."""
    return _set(alone(rows).filter(is_deleted=True), rows.model, is_deleted=False, deleted_at=None)


def alone(rows: Rows) -> Rows:
    """Return the rows as rows of the table that has the marks, without joins.

    A condition beside a subquery is checked again for rows that somebody else changed just now.
    """
    query = rows.query
    plain = not query.distinct and query.group_by is None and len(query.alias_map) <= 1
    table = table_of(rows.model)
    if plain and table is rows.model._meta.concrete_model:
        return rows
    keys = rows.order_by().values("pk")
    return every_row(table, rows.db).filter(pk__in=keys)


def locked_times(rows: Rows) -> Times:
    """Lock the rows; return when each was deleted, by key."""
    return dict(_locked(alone(rows)).values_list("pk", "deleted_at"))


def rows_of(model: Model, keys: Keys, using: str) -> Rows:
    """Return the rows with these keys, deleted or not."""
    return every_row(model, using).filter(OneOf("pk", keys))


def announce_marked(model: Model, keys: Keys, at: datetime, using: str) -> None:
    """Announce that these rows have been soft-deleted."""
    if emits_events(model):
        live, marked = (False, None), (True, at)
        changes = _changes(model, live, marked)
        announce_alike(model, keys, changes, using, exact=True, signal=model_soft_deleted)


def announce_unmarked(
    model: Model, deleted_at: Mapping[Any, datetime | None], using: str, *, exact: bool
) -> None:
    """Announce that these rows, with the time of their deletion if it is known, are back."""
    if not emits_events(model):
        return
    live = (False, None)
    if exact:
        alike = {at: _changes(model, (True, at), live) for at in set(deleted_at.values())}
        rows = ((pk, alike[at]) for pk, at in deleted_at.items())
        announce_bulk(model, rows, using, exact=True, signal=model_restored)
    else:
        changes = _changes(model, (True, None), live)
        changes |= {"deleted_at": [None, None]} if "is_deleted" in changes else {}
        announce_alike(model, deleted_at, changes, using, exact=False, signal=model_restored)


def _changes(model: Model, *states: tuple[bool, datetime | None]) -> dict[str, list[Any]]:
    old, new = (dict(zip(MARKS, state, strict=True)) for state in states)
    return diff(model, old, new)


def _set(rows: Rows, model: Model, **values: Any) -> list[Any]:
    names = {field.name for field in model._meta.concrete_fields}
    if "updated_at" in names:
        # An update goes past auto_now.
        values["updated_at"] = timezone.now()
    if issubclass(model, AuditPart) and (actor := current_context().actor_id) is not None:
        values["updated_by"] = actor
    own = {field.name for field in rows.model._meta.concrete_fields}
    if own.issuperset(values) and can_return_keys(rows, values):
        return update_returning_keys(rows, values)
    # `updated_at` is in another table than the marks, or the database cannot say what it changed.
    keys = list(_locked(rows).values_list("pk", flat=True))
    models.QuerySet.update(rows_of(model, keys, rows.db), **values)
    return keys


def _locked(rows: Rows) -> Rows:
    no_key = connections[rows.db].features.has_select_for_no_key_update
    return rows.order_by("pk").select_for_update(no_key=no_key)
