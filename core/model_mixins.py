"""The parts that models are put together from; each works alone and with the base models.

`UUIDPrimaryKeyMixin`, `SoftDeleteMixin` and `TimestampMixin` may stand before or after a base
model, since the base models inherit the same private parts instead of the mixins themselves.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, models, router, transaction
from django.db.models.base import ModelBase
from django.utils import timezone

from core.managers import AllObjectsManager, SoftDeleteManager, restore_conflict

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MARKS = ("is_deleted", "deleted_at")


class CompleteMeta(ModelBase):
    """Completes `Meta` of a model that has a table, unless it says something else.

    The table is named after the class. The base manager is the one that any parent asks for; Django
    would look at the first parent only. Both must stand in `Meta` before Django builds the class,
    or migrations would not see them.
    """

    def __new__(
        mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any], **kwargs: Any
    ) -> Any:
        own = attrs.get("Meta")
        if not getattr(own, "abstract", False) and not getattr(own, "proxy", False):
            attrs["Meta"] = _completed(own, bases, attrs.get("__tablename__") or snake_case(name))
        return super().__new__(mcs, name, bases, attrs, **kwargs)


def _completed(own: Any, bases: tuple[type, ...], table: str) -> type:
    inherited = [base.Meta for base in bases if hasattr(base, "Meta")]
    meta = own or next(iter(inherited), None)
    values = {"db_table": getattr(meta, "db_table", None) or table}
    managers = [getattr(each, "base_manager_name", None) for each in (own, *inherited)]
    if any(managers):
        values["base_manager_name"] = next(filter(None, managers))
    return type("Meta", (meta,) if meta else (), values)


def snake_case(name: str) -> str:
    """Return the name with its words in lower case and underscores between them."""
    return _WORD_START.sub("_", name).lower()


class TableNamingMixin(models.Model, metaclass=CompleteMeta):
    """`UserProfile` is stored in `user_profile`; `__tablename__` or `Meta.db_table` wins.

    Two apps with a class of the same name need an explicit name for one of them.
    """

    class Meta:
        abstract = True


class UUIDPart(models.Model):
    """A random UUID as primary key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    class Meta:
        abstract = True


class TimestampsPart(models.Model):
    """When a row was made and when it was last saved."""

    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        abstract = True

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save as Django does; `updated_at` is refreshed whichever fields are saved."""
        if update_fields is not None:
            update_fields = set(update_fields)
            update_fields |= {"updated_at"} if update_fields else set()
        elif "updated_at" not in self.__dict__:
            # Deferred; Django saves only what is loaded.
            self.updated_at = timezone.now()
        super().save(*args, update_fields=update_fields, **kwargs)


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


class UUIDPrimaryKeyMixin(UUIDPart):
    """Gives a model a random UUID as primary key."""

    class Meta:
        abstract = True


UUIDMixin = UUIDPrimaryKeyMixin


class TimestampMixin(TimestampsPart):
    """Gives a model `created_at` and `updated_at`."""

    class Meta:
        abstract = True


class SoftDeleteMixin(SoftDeletePart):
    """Gives a model soft deletion, without life cycle signals, whatever its primary key is."""

    class Meta(SoftDeletePart.Meta):
        abstract = True
