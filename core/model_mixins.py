"""The parts that models are put together from; each works alone and with the base models.

A mixin may stand before or after a base model, since the base models inherit the same private
parts instead of the mixins themselves.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from core.parts.audit import AuditPart
from core.parts.ordering import OrderingMeta
from core.parts.table_names import TableNamingMixin
from core.parts.tenant import TenantPart
from core.rows.saving import SavePart
from core.soft_delete.part import SoftDeletePart

__all__ = [
    "AuditMixin",
    "MetadataMixin",
    "OrderableMixin",
    "SlugMixin",
    "SoftDeleteMixin",
    "TableNamingMixin",
    "TenantMixin",
    "TimestampMixin",
    "UUIDMixin",
    "UUIDPrimaryKeyMixin",
]


class UUIDPart(models.Model):
    """A random UUID as primary key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    class Meta:
        abstract = True


class TimestampsPart(SavePart):
    """When a row was made and when it was last saved.

    `updated_at` is refreshed by each `save()`, whichever fields it saves; bulk operations write
    only the fields that they are given.
    """

    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        abstract = True

    def _fill_in(self, names: frozenset[str] | None, using: str | None) -> set[str]:
        if names is None and "updated_at" not in self.__dict__:
            # Deferred; Django saves only what is loaded.
            self.updated_at = timezone.now()
        return super()._fill_in(names, using) | {"updated_at"}


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


class SlugMixin(models.Model):
    """Gives a model a unique `slug`, also among deleted rows."""

    slug = models.SlugField(max_length=100, unique=True, db_index=True)

    class Meta:
        abstract = True


class OrderableMixin(models.Model, metaclass=OrderingMeta):
    """Gives a model an `order`, by which its rows are sorted if no parent before it says else."""

    order = models.PositiveIntegerField(default=0, db_index=True)

    class Meta:
        abstract = True
        ordering = ["order"]


class MetadataMixin(models.Model):
    """Gives a model `metadata`: a dict of its own for each row."""

    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        abstract = True


class AuditMixin(AuditPart):
    """Gives a model `created_by`, `updated_by` (who did it, if that is known) and `deleted_at`."""

    class Meta:
        abstract = True


class TenantMixin(TenantPart):
    """Gives a model a `tenant_id`, filled in with the current tenant and set once."""

    class Meta:
        abstract = True
