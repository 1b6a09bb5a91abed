"""The parts that models are put together from; each works alone and with the base models.

`UUIDPrimaryKeyMixin`, `SoftDeleteMixin` and `TimestampMixin` may stand before or after a base
model, since the base models inherit the same private parts instead of the mixins themselves.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models.base import ModelBase
from django.utils import timezone

from core.soft_deletion import SoftDeletePart

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


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
