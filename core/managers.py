"""Managers and querysets of models that are soft-deleted: they hide deleted rows."""

from __future__ import annotations

from functools import cache
from typing import Any, Self

from asgiref.sync import sync_to_async
from django.db import models, transaction
from django.db.models import F
from django.db.models.sql.query import Query
from django.utils import timezone

from core.rows.bulk import Deleted, LifecycleQuerySet, Row
from core.soft_delete.cascade import SoftDeletion
from core.soft_delete.restoring import restore_conflicts, restore_rows
from core.soft_delete.visibility import HidesDeleted, show_deleted


class SoftDeleteQuerySet(LifecycleQuerySet[Row]):
    """A queryset whose `delete()` marks rows, and which shows marked rows when asked to."""

    def active(self) -> Self:
        """Keep only rows that are not deleted."""
        return self.filter(is_deleted=False)

    def deleted(self) -> Self:
        """Keep only deleted rows."""
        return self.with_deleted().filter(is_deleted=True)

    def with_deleted(self) -> Self:
        """Show deleted rows as well; an explicit filter on `is_deleted` stays."""
        if self.query.is_sliced:
            raise TypeError("Cannot filter a query once a slice has been taken.")
        rows = self.filter()  # a copy; refused for union() and the like
        show_deleted(rows.query.where)
        return rows

    def hide_deleted(self) -> Self:
        """Hide deleted rows until `with_deleted()` or `deleted()` asks for them."""
        return self.filter(HidesDeleted(F("is_deleted"), False))

    def delete(self) -> Deleted:
        """Mark the rows as deleted; return how many, in total and by model.

        With `soft_delete_cascade`, what refers to them is treated as `on_delete` says. Raises
        Django's ProtectedError and RestrictedError, and then changes nothing; and Django's errors
        for a query that is combined, sliced, made of values or distinct by fields.
        """
        self._refuse_delete()
        rows = self.filter()
        rows._for_write = True
        deletion = SoftDeletion(self.model, rows.db, timezone.now())
        with transaction.atomic(using=rows.db):
            deletion.mark(rows)
            deletion.announce()
        self._result_cache = None
        counts = deletion.counts()
        return sum(counts.values()), counts

    def restore(self) -> int:
        """Undo the deletion of those rows that are deleted; return how many of them.

        With `soft_delete_cascade`, what went with them comes back as well. Raises ConflictError
        when a unique value has been taken meanwhile, and then changes nothing.
        """
        rows = self.deleted()
        rows._for_write = True
        # The savepoint keeps a conflict from spoiling the caller's transaction.
        what = f"A row of {self.model._meta.label}"
        with restore_conflicts(what), transaction.atomic(using=rows.db):
            count = restore_rows(rows)
        self._result_cache = None
        return count

    def hard_delete(self) -> Deleted:
        """Remove the rows from the database, with what Django's `on_delete` rules say."""
        return super().delete()

    def _refuse_delete(self) -> None:
        """Raise what Django raises for a query that it does not delete."""
        query: Any = self
        query._not_support_combined_queries("delete")
        if self.query.is_sliced:
            raise TypeError("Cannot use 'limit' or 'offset' with delete().")
        if self.query.distinct_fields:
            raise TypeError("Cannot call delete() after .distinct(*fields).")
        if query._fields is not None:
            raise TypeError("Cannot call delete() after .values() or .values_list()")

    async def arestore(self) -> int:
        """Do what `restore()` does, in an event loop."""
        return await sync_to_async(self.restore)()

    async def ahard_delete(self) -> Deleted:
        """Do what `hard_delete()` does, in an event loop."""
        return await sync_to_async(self.hard_delete)()

    # Django's marks: templates may not call these, and managers do not offer them.
    arestore.alters_data = arestore.queryset_only = True  # type: ignore[attr-defined]
    ahard_delete.alters_data = ahard_delete.queryset_only = True  # type: ignore[attr-defined]
    delete.alters_data = delete.queryset_only = True  # type: ignore[attr-defined]
    restore.alters_data = restore.queryset_only = True  # type: ignore[attr-defined]
    hard_delete.alters_data = hard_delete.queryset_only = True  # type: ignore[attr-defined]


class SoftDeleteManager(models.Manager.from_queryset(SoftDeleteQuerySet)):  # type: ignore[misc]
    """The manager that hides deleted rows, also on related objects."""

    def get_queryset(self) -> SoftDeleteQuerySet[Any]:
        """Return the rows that are not deleted."""
        rows: SoftDeleteQuerySet[Any] = super().get_queryset()
        # A copy of the condition is ten times cheaper than building it for each query.
        rows.query = _visible(self.model).clone()
        return rows


@cache
def _visible(model: type[models.Model]) -> Query:
    return SoftDeleteQuerySet(model).hide_deleted().query


AllObjectsManager = models.Manager.from_queryset(SoftDeleteQuerySet, "AllObjectsManager")
