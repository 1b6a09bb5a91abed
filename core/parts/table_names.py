"""How models that ask for it name their tables: after the class, in snake case."""

from __future__ import annotations

import re
from typing import Any

from django.db import models

from core.parts.ordering import OrderingMeta, first_ordering

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(name: str) -> str:
    """Return the name with its words in lower case and underscores between them."""
    return _WORD_START.sub("_", name).lower()


class CompleteMeta(OrderingMeta):
    """Completes `Meta` of a model that has a table, unless it says something else.

    The table is named after the class. The base manager, and without a `Meta` of its own the
    ordering, are the first that a parent asks for; Django would look at the first parent only. All
    must stand in `Meta` before Django builds the class, or migrations would not see them.
    """

    def __new__(
        mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any], **kwargs: Any
    ) -> Any:
        own = attrs.get("Meta")
        if not getattr(own, "abstract", False) and not getattr(own, "proxy", False):
            attrs["Meta"] = _completed(name, own, bases, attrs)
        return super().__new__(mcs, name, bases, attrs, **kwargs)


def _completed(name: str, own: Any, bases: tuple[type, ...], attrs: dict[str, Any]) -> type:
    inherited = [base.Meta for base in bases if hasattr(base, "Meta")]
    meta = own or next(iter(inherited), None)
    values = {"db_table": _table(name, own, meta, attrs.get("__tablename__"))}
    managers = [getattr(each, "base_manager_name", None) for each in (own, *inherited)]
    if any(managers):
        values["base_manager_name"] = next(filter(None, managers))
    if own is None and (ordering := first_ordering(bases)):
        values["ordering"] = ordering
    return type("Meta", (meta,) if meta else (), values)


def _table(name: str, own: Any, meta: Any, given: Any) -> str:
    if given is not None and not (isinstance(given, str) and given):
        raise TypeError(f"{name}.__tablename__ must be the name of a table, not {given!r}")
    stated = getattr(own, "__dict__", {}).get("db_table")
    return stated or given or getattr(meta, "db_table", None) or snake_case(name)


class TableNamingMixin(models.Model, metaclass=CompleteMeta):
    """`UserProfile` is stored in `user_profile`; `__tablename__` or `Meta.db_table` wins.

    Two apps with a class of the same name need an explicit name for one of them; Django's check
    `models.E028` says so.
    """

    class Meta:
        abstract = True
