"""Soft deletion: the part of a model whose rows are marked instead of removed."""

from __future__ import annotations

from django.db import IntegrityError, models, router, transaction
from django.utils import timezone

from core.managers import AllObjectsManager, SoftDeleteManager, restore_conflict

_MARKS = ("is_deleted", "deleted_at")


class SoftDeletePart(models.Model):
    """`delete()` marks the row and keeps it; what refers to it still does.

    Unique values of deleted rows stay taken, although `full_clean()` and `get_or_create()` do not
    see those rows. To set them free, use UniqueConstraint(condition=Q(is_deleted=False)).
    """

    is_deleted = models.BooleanField(default=False, db_index=True, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = SoftDeleteManager()
    all_objects = AllObjectsManager()

    class Meta:
        abstract = True
        # Following a foreign key leads to deleted rows as well.
        base_manager_name = "all_objects"

    def delete(  # type: ignore[override]  # `soft` comes first; Django itself passes keywords
        self, soft: bool = True, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Mark the row as deleted, or remove it with `soft=False`; return what Django returns."""
        if not soft or self.pk is None:
            return self.hard_delete(using=using, keep_parents=keep_parents)
        if not self.soft_delete(using=using):
            return 0, {}
        return 1, {self._meta.label: 1}

    def soft_delete(self, using: str | None = None) -> bool:
        """Mark the row as deleted and return True; False if it was deleted already."""
        return self._mark(deleted=True, using=using)

    def restore(self, using: str | None = None) -> bool:
        """Undo the deletion and return True; False if the row was not deleted.

        Raises ConflictError when a unique value of it has been taken meanwhile.
        """
        try:
            return self._mark(deleted=False, using=using)
        except IntegrityError as error:
            self.refresh_from_db(using=using, fields=_MARKS)
            raise restore_conflict(self) from error

    def hard_delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Remove the row from the database, with what Django's `on_delete` rules say."""
        return super().delete(using=using, keep_parents=keep_parents)

    # Django's mark: templates may not call these.
    delete.alters_data = soft_delete.alters_data = True  # type: ignore[attr-defined]
    restore.alters_data = hard_delete.alters_data = True  # type: ignore[attr-defined]

    def _mark(self, *, deleted: bool, using: str | None) -> bool:
        using = using or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            # Locked and read again, so that of two deletions at once the first one stands.
            rows = type(self)._base_manager.using(using).select_for_update()
            self.refresh_from_db(using=using, fields=_MARKS, from_queryset=rows)
            if self.is_deleted == deleted:
                return False
            self.is_deleted = deleted
            self.deleted_at = timezone.now() if deleted else None
            self.save(using=using, update_fields=_MARKS)
        return True
