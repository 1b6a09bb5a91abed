"""Soft deletion: the part of a model whose rows are marked instead of removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.db import models, router, transaction
from django.utils import timezone

from core.managers import AllObjectsManager, SoftDeleteManager
from core.rows.keys import every_row
from core.rows.lifecycle import LifecycleModel
from core.soft_delete.cascade import SoftDeletion, cascades
from core.soft_delete.kept import KeptMarks
from core.soft_delete.marks import MARKS
from core.soft_delete.restoring import bring_back, gone_with, restore_conflicts


class SoftDeletePart(KeptMarks):
    """`delete()` marks the row and keeps it; what refers to it still does.

    Unique values of deleted rows stay taken, although `full_clean()` and `get_or_create()` do not
    see those rows. UniqueActiveConstraint sets them free.
    """

    # True: soft deletion takes along what refers to the row, as `on_delete` says, and restoring
    # brings it back (see core.soft_delete.cascade and core.soft_delete.restoring).
    soft_delete_cascade: ClassVar[bool] = False

    is_deleted = models.BooleanField(default=False, db_index=True, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = SoftDeleteManager()
    all_objects = AllObjectsManager()

    class Meta:
        abstract = True
        # Following a foreign key leads to deleted rows as well.
        base_manager_name = "all_objects"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse an order of parents by which rows would be removed instead of marked."""
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if LifecycleModel in order and order.index(LifecycleModel) < order.index(SoftDeletePart):
            raise TypeError(
                f"{cls.__name__} must name its parent with soft deletion before LifecycleModel, "
                "or its rows would be removed instead of marked"
            )

    def delete(  # type: ignore[override]  # `soft` comes first; Django itself passes keywords
        self, soft: bool = True, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Mark the row as deleted, or remove it with `soft=False`; return what Django returns.

        That is how many rows went, in total and by model: (0, {}) if it was deleted already.
        Raises ProtectedError or RestrictedError as `soft_delete()` does.
        """
        if not isinstance(soft, bool):
            raise TypeError(
                f"delete(soft={soft!r}): it must be True or False; `using` is a keyword"
            )
        if not soft or self.pk is None:
            return self.hard_delete(using=using, keep_parents=keep_parents)
        if not self.soft_delete(using=using):
            return 0, {}
        counts = {self._meta.label: 1}
        for label, count in self.__dict__.pop("_gone_along", {}).items():
            counts[label] = counts.get(label, 0) + count
        return sum(counts.values()), counts

    def soft_delete(self, using: str | None = None) -> bool:
        """Mark the row as deleted and return True; False if it was deleted already.

        With `soft_delete_cascade`, what refers to it is treated as `on_delete` says. Raises
        Django's ProtectedError and RestrictedError, and then changes nothing.
        """
        using = using or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            self._lock_marks(using)
            if self.is_deleted:
                return False
            deletion = SoftDeletion(type(self), using, timezone.now(), spared=self.pk)
            if cascades(type(self)):
                deletion.follow([self.pk])
            with _unchanged_on_error(self):
                self.is_deleted, self.deleted_at = True, deletion.at
                self.save(using=using, update_fields=MARKS)
                deletion.announce()
        self._gone_along = deletion.counts()
        return True

    def restore(self, using: str | None = None) -> bool:
        """Undo the deletion and return True; False if the row was not deleted.

        With `soft_delete_cascade`, what went with it comes back as well. Raises ConflictError when
        a unique value has been taken meanwhile, and then changes nothing.
        """
        using = using or router.db_for_write(type(self), instance=self)
        with restore_conflicts(self), transaction.atomic(using=using):
            self._lock_marks(using)
            if not self.is_deleted:
                return False
            companions = gone_with(type(self), {self.pk: self.deleted_at}, using)
            with _unchanged_on_error(self):
                self.is_deleted, self.deleted_at = False, None
                self.save(using=using, update_fields=MARKS)
                bring_back(companions, using)
        return True

    def hard_delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Remove the row from the database, with what Django's `on_delete` rules say."""
        return super().delete(using=using, keep_parents=keep_parents)

    async def adelete(  # type: ignore[override]  # `soft` comes first, as in `delete()`
        self, soft: bool = True, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Do what `delete()` does, in an event loop."""
        return await sync_to_async(self.delete)(soft, using=using, keep_parents=keep_parents)

    async def asoft_delete(self, using: str | None = None) -> bool:
        """Do what `soft_delete()` does, in an event loop."""
        return await sync_to_async(self.soft_delete)(using=using)

    async def arestore(self, using: str | None = None) -> bool:
        """Do what `restore()` does, in an event loop."""
        return await sync_to_async(self.restore)(using=using)

    async def ahard_delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Do what `hard_delete()` does, in an event loop."""
        return await sync_to_async(self.hard_delete)(using=using, keep_parents=keep_parents)

    # Django's mark: templates may not call these.
    adelete.alters_data = asoft_delete.alters_data = True  # type: ignore[attr-defined]
    arestore.alters_data = ahard_delete.alters_data = True  # type: ignore[attr-defined]
    delete.alters_data = soft_delete.alters_data = True  # type: ignore[attr-defined]
    restore.alters_data = hard_delete.alters_data = True  # type: ignore[attr-defined]

    def _lock_marks(self, using: str) -> None:
        # Locked and read again, so that of two deletions at once the first one stands.
        rows = every_row(type(self), using).select_for_update()
        self.refresh_from_db(using=using, fields=MARKS, from_queryset=rows)


@contextmanager
def _unchanged_on_error(instance: SoftDeletePart) -> Iterator[None]:
    names = {*MARKS, "updated_at"} & instance.__dict__.keys()
    before = {name: instance.__dict__[name] for name in names}
    try:
        yield
    except Exception:
        instance.__dict__.update(before)
        raise
