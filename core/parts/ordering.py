"""How models are sorted that have several parents."""

from __future__ import annotations

from typing import Any

from django.db.models.base import ModelBase


class OrderingMeta(ModelBase):
    """Sorts a model without a `Meta` as the first of its parents that has an ordering asks.

    Django would look at the first parent only.
    """

    def __new__(
        mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any], **kwargs: Any
    ) -> Any:
        ordering = first_ordering(bases)
        if ordering and "Meta" not in attrs:
            inherited = tuple(base.Meta for base in bases if hasattr(base, "Meta"))
            attrs["Meta"] = type("Meta", inherited[:1], {"ordering": ordering})
        return super().__new__(mcs, name, bases, attrs, **kwargs)


def first_ordering(bases: tuple[type, ...]) -> Any:
    """Return the first ordering that a parent has, or None."""
    orders = (base._meta.ordering for base in bases if hasattr(base, "_meta"))
    return next(filter(None, orders), None)
