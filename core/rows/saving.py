"""Columns that are filled in whenever a row is saved, whichever fields the caller names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

from django.db import models

from core.rows.loading import LoadPart

_BY_POSITION = ("force_insert", "force_update", "using", "update_fields")


class SavePart(models.Model):
    """Lets the parts of a model fill in columns of theirs at each save."""

    class Meta:
        abstract = True

    def save(
        self,
        *args: Any,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Save as Django does, with what the parts fill in; `update_fields=[]` saves nothing."""
        if args:
            # Django 5.2 still allows this; what it means must not depend on it.
            options = {"using": using, "update_fields": update_fields} | kwargs
            return self.save(**options | dict(zip(_BY_POSITION, args, strict=False)))
        names = None if update_fields is None else set(update_fields)
        if names is None:
            self._fill_in(None, using)
        elif names:
            names |= self._fill_in(frozenset(names), using)
        super().save(using=using, update_fields=names, **kwargs)
        self._saved(names)

    def _fill_in(self, names: frozenset[str] | None, using: str | None) -> set[str]:
        """Set columns before a save of these fields (None: all); return which go with them."""
        return set()

    def _saved(self, names: Collection[str] | None) -> None:
        """Note that these fields are stored now (None: all)."""


class RememberingPart(SavePart, LoadPart):
    """Knows what some columns held when the row was loaded, to tell what was set by hand."""

    _noted_names: ClassVar[tuple[str, ...]] = ("updated_by", "tenant_id")
    # Replaced as a whole and never changed, since copies of the row share it.
    _noted: Mapping[str, Any] = {}

    class Meta:
        abstract = True

    def _loaded_from(self, names: Collection[str], values: Collection[Any]) -> None:
        super()._loaded_from(names, values)
        self._note(self._noted_names)

    def _reloaded(self, names: Collection[str] | None) -> None:
        super()._reloaded(names)
        self._note(self._noted_among(names))

    def _saved(self, names: Collection[str] | None) -> None:
        super()._saved(names)
        self._note(self._noted_among(names))

    def _noted_among(self, names: Collection[str] | None) -> Collection[str]:
        return [n for n in self._noted_names if names is None or n in names]

    def _note(self, names: Collection[str]) -> None:
        held = self.__dict__
        self._noted = {**self._noted, **{name: held[name] for name in names if name in held}}
