"""Keyset pagination: the next page begins behind the last row of this one, found by index.

Its cost does not grow with the number of the page, and rows that come or go meanwhile shift
nothing. The price: one moves from page to page only, and there is no total.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic

from django.core.exceptions import ValidationError as FieldValueError
from django.core.signing import BadSignature, Signer
from django.db import models
from django.db.models import Q
from django.db.models.query import ModelIterable

from core.db_toolkit.pagination import (
    DEFAULT_SIZE,
    Item,
    Order,
    PaginationParams,
    Row,
    Rows,
    names_in,
    require_queryset,
)
from core.events.suggest import did_you_mean
from core.exceptions import ValidationError
from core.helpers import shortened

_SALT = "core.db_toolkit.keyset"


@dataclass(frozen=True)
class KeysetPage(Generic[Item]):
    """Some items, and the cursor behind the last of them; None when nothing follows."""

    items: list[Item]
    size: int
    next_cursor: str | None

    @property
    def has_next(self) -> bool:
        """Whether something follows."""
        return self.next_cursor is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the page as a response body; the items stay as they are."""
        return {
            "items": self.items,
            "size": self.size,
            "next_cursor": self.next_cursor,
            "has_next": self.has_next,
        }


def keyset_page(
    rows: Rows[Row], *, after: str | None = None, size: int = DEFAULT_SIZE, order_by: Order = None
) -> KeysetPage[Row]:
    """Return up to `size` rows that come after the cursor, in one query.

    `order_by` names fields of the model that are never null; the key is added, so that no row is
    left out or met twice. An index on just these fields makes it quick. The cursor is signed, not
    secret. Raises ValidationError for a cursor of another order or model, and for unknown fields.
    """
    keyset = Keyset(rows, order_by, size)
    return keyset.page(list(keyset.rows_after(after)))


async def akeyset_page(
    rows: Rows[Row], *, after: str | None = None, size: int = DEFAULT_SIZE, order_by: Order = None
) -> KeysetPage[Row]:
    """Do as `keyset_page`, without blocking the event loop."""
    keyset = Keyset(rows, order_by, size)
    return keyset.page([row async for row in keyset.rows_after(after)])


class Keyset(Generic[Row]):
    """An order of rows in which every row has a place of its own."""

    def __init__(self, rows: Rows[Row], order_by: Order, size: int) -> None:
        require_queryset(rows)
        if not issubclass(rows._iterable_class, ModelIterable):
            raise TypeError("keyset pages need instances of the model, not values() of it")
        self._rows = rows
        self._size = PaginationParams(size=size).size
        self._terms = self._with_key(names_in(order_by) or rows.model._meta.ordering)

    def rows_after(self, cursor: str | None) -> Rows[Row]:
        """Return the rows after the cursor, one more than fits: it tells that something follows."""
        rows = self._rows.order_by(*self._order)
        if cursor is not None:
            rows = rows.filter(self._beyond(self._read(cursor)))
        return rows[: self._size + 1]

    def page(self, found: list[Row]) -> KeysetPage[Row]:
        """Return the page that these rows make."""
        items = found[: self._size]
        cursor = self._cursor(items[-1]) if len(found) > self._size else None
        return KeysetPage(items, self._size, cursor)

    @property
    def _order(self) -> list[str]:
        return [f"{'-' if down else ''}{field.attname}" for field, down in self._terms]

    def _with_key(self, order_by: Any) -> list[tuple[models.Field[Any, Any], bool]]:
        terms: list[tuple[models.Field[Any, Any], bool]] = []
        for name in order_by:
            if not isinstance(name, str):
                raise ValidationError(
                    f"{self._label} is ordered by {shortened(name)}; keyset pagination needs "
                    "names of fields, so give order_by"
                )
            terms.append((self._field(name.removeprefix("-")), name.startswith("-")))
        key = self._rows.model._meta.pk
        if key not in [field for field, _ in terms]:
            terms.append((key, bool(terms) and terms[-1][1]))
        return terms

    def _field(self, name: str) -> models.Field[Any, Any]:
        meta = self._rows.model._meta
        fields = {each: f for f in meta.concrete_fields for each in (f.name, f.attname)}
        field = meta.pk if name == "pk" else fields.get(name)
        if field is None:
            hint = did_you_mean(name, fields)
            raise ValidationError(f"{self._label} has no field {shortened(name)}{hint}")
        if field.null:
            raise ValidationError(
                f"{self._label}.{name} can be null, so rows have no place by it; order by another "
                "field or use page numbers"
            )
        return field

    def _beyond(self, values: list[Any]) -> Q:
        """Return the condition for rows behind these values of the fields in order."""
        beyond, equal = Q(), Q()
        for (field, down), value in zip(self._terms, values, strict=True):
            beyond |= equal & Q(**{f"{field.attname}__{'lt' if down else 'gt'}": value})
            equal &= Q(**{field.attname: value})
        # The same again in a form that an index on the first field can begin with.
        first, down = self._terms[0]
        return Q(**{f"{first.attname}__{'lte' if down else 'gte'}": values[0]}) & beyond

    def _cursor(self, row: Row) -> str:
        values = [field.value_to_string(row) for field, _ in self._terms]
        return Signer(salt=_SALT).sign_object([self._label, self._order, values])

    def _read(self, cursor: str) -> list[Any]:
        try:
            label, order, values = Signer(salt=_SALT).unsign_object(cursor)
            if (label, order) == (self._label, self._order):
                return [f.to_python(v) for (f, _), v in zip(self._terms, values, strict=True)]
        except (BadSignature, FieldValueError, ValueError, TypeError, AttributeError) as error:
            # Not signed by us, or by a version of this model with other fields.
            raise _bad(cursor) from error
        raise _bad(cursor)

    @property
    def _label(self) -> str:
        return self._rows.model._meta.label


def _bad(cursor: object) -> ValidationError:
    return ValidationError(
        f"the cursor {shortened(cursor)} does not belong to this list; begin without one",
        code="BAD_CURSOR",
    )
