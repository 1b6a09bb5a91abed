"""The moments in which an instance gets values from the database, for parts that remember them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Self

from django.db import models


class LoadPart(models.Model):
    """Tells the parts of a model what was loaded."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Self:
        """Build the row as Django does, and remember what was in it."""
        row = super().from_db(db, field_names, values, **options)
        row._loaded_from(field_names, values)
        return row

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet[Self] | None = None,
    ) -> None:
        """Reload as Django does, and remember what was loaded."""
        names = None if fields is None else list(fields)
        super().refresh_from_db(using=using, fields=names, from_queryset=from_queryset)
        self._reloaded(names)

    def _loaded_from(self, names: Collection[str], values: Collection[Any]) -> None:
        """Note what a new instance was built from: attribute names and values."""

    def _reloaded(self, names: Collection[str] | None) -> None:
        """Note that these fields hold what is stored (None: all)."""
