"""Pages of querysets: by number, or behind a cursor for tables that are too large for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import FieldError
from django.db import models

from core.exceptions import ValidationError
from core.helpers import calculate_pagination, require_whole, shortened

Item = TypeVar("Item")
Other = TypeVar("Other")
Row = TypeVar("Row", bound=models.Model)
Rows = models.QuerySet[Row, Row]
Order = str | Sequence[str] | None

DEFAULT_SIZE = 20
MAX_SIZE = 100
# A text of more is read no further.
_MOST_DIGITS = 18


@dataclass(frozen=True, init=False)
class PaginationParams:
    """Which page is asked for: `page` from 1 on, `size` from 1 to 100.

    Texts of digits are taken too, as they come in a query string. `per_page` and `page_size` are
    other names of `size`. Raises ValidationError for anything else.
    """

    page: int = 1
    size: int = DEFAULT_SIZE

    def __init__(
        self,
        page: int | str = 1,
        size: int | str = DEFAULT_SIZE,
        *,
        per_page: int | str | None = None,
        page_size: int | str | None = None,
    ) -> None:
        sizes = {"size": _whole("size", size, MAX_SIZE)}
        for name, other in (("per_page", per_page), ("page_size", page_size)):
            if other is not None:
                sizes[name] = _whole(name, other, MAX_SIZE)
        if len(sizes) > 1 and size == DEFAULT_SIZE:
            # Nobody has asked for it.
            del sizes["size"]
        if len(set(sizes.values())) > 1:
            given = ", ".join(f"{name}={number}" for name, number in sizes.items())
            raise ValidationError(f"{given}: names of one thing, which differ; give one of them")
        object.__setattr__(self, "page", _whole("page", page))
        object.__setattr__(self, "size", next(iter(sizes.values())))

    @property
    def per_page(self) -> int:
        """The size by another name."""
        return self.size

    @property
    def page_size(self) -> int:
        """The size by another name."""
        return self.size

    @property
    def offset(self) -> int:
        """How many items there are before this page."""
        return (self.page - 1) * self.size


@dataclass(frozen=True)
class PaginationResult(Generic[Item]):
    """One page of items, and where it stands among `total` of them.

    A page beyond the last keeps its number and has no items; no items at all make 0 pages.
    """

    items: list[Item]
    total: int
    page: int = 1
    size: int = DEFAULT_SIZE

    def __post_init__(self) -> None:
        """Raise ValidationError for numbers that no page has."""
        calculate_pagination(self.total, self.page, self.size)

    @property
    def per_page(self) -> int:
        """The size by another name."""
        return self.size

    @property
    def page_size(self) -> int:
        """The size by another name."""
        return self.size

    @property
    def total_pages(self) -> int:
        """How many pages there are."""
        return -(-self.total // self.size)

    @property
    def pages(self) -> int:
        """The number of pages by another name."""
        return self.total_pages

    @property
    def has_next(self) -> bool:
        """Whether there is a page after this one."""
        return self.page < self.total_pages

    @property
    def has_previous(self) -> bool:
        """Whether there is a page number before this one."""
        return self.page > 1

    def map(self, function: Callable[[Item], Other]) -> PaginationResult[Other]:
        """Return the same page with `function` applied to each item."""
        return PaginationResult(
            [function(item) for item in self.items], self.total, self.page, self.size
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the page as a response body; the items stay as they are."""
        return {
            "items": self.items,
            "total": self.total,
            "page": self.page,
            "size": self.size,
            "total_pages": self.total_pages,
            "has_next": self.has_next,
            "has_previous": self.has_previous,
        }


def paginate(
    rows: Rows[Row], params: PaginationParams, order_by: Order = None
) -> PaginationResult[Row]:
    """Return this page of the rows, in two queries: a count and the page."""
    _require_params(params)
    rows = ordered(rows, order_by)
    total = rows.count()
    # A page beyond the last costs no query, and its offset may be more than a database can count.
    items = list(_window(rows, params)) if params.offset < total else []
    return PaginationResult(items, total, params.page, params.size)


async def apaginate(
    rows: Rows[Row], params: PaginationParams, order_by: Order = None
) -> PaginationResult[Row]:
    """Do as `paginate`, without blocking the event loop."""
    _require_params(params)
    rows = ordered(rows, order_by)
    total = await rows.acount()
    items = [row async for row in _window(rows, params)] if params.offset < total else []
    return PaginationResult(items, total, params.page, params.size)


def ordered(rows: Rows[Row], order_by: Order = None) -> Rows[Row]:
    """Return the rows in this order, else in theirs, then by key: so that pages never overlap.

    `order_by` is a name or several, with "-" before it for descending. Raises ValidationError for
    an unknown field, TypeError for rows that are no queryset.
    """
    require_queryset(rows)
    terms: list[Any] = names_in(order_by)
    terms = terms or [*rows.query.order_by] or [*(rows.model._meta.ordering or ())]
    if terms in ([], ["pk"], ["-pk"]):
        return rows.order_by(*(terms or ["pk"]))
    backwards = isinstance(terms[-1], str) and terms[-1].startswith("-")
    try:
        for name in names_in(order_by):
            _check_path(rows, name.removeprefix("-"))
        return rows.order_by(*terms, "-pk" if backwards else "pk")
    except FieldError as error:
        raise ValidationError(
            f"{rows.model._meta.label} cannot be ordered by {shortened(order_by)}: {error}",
            details={"order_by": str(error)},
        ) from error


def require_queryset(rows: object) -> None:
    """Raise TypeError unless these rows are a queryset."""
    if not isinstance(rows, models.QuerySet):
        raise TypeError(f"rows must be a queryset, got {type(rows).__name__}")


def names_in(order_by: Order) -> list[str]:
    """Return the names as a list. Raises ValidationError when they are no names."""
    if order_by is None:
        return []
    names = [order_by] if isinstance(order_by, str) else order_by
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ValidationError(f"order_by must be one name or several, got {shortened(order_by)}")
    for name in names:
        if name.strip("-") in ("", "?"):
            raise ValidationError(f"order_by must name fields, got {shortened(order_by)}")
    return [*names]


def _require_params(params: object) -> None:
    if not isinstance(params, PaginationParams):
        raise TypeError(f"params must be PaginationParams(page, size), got {shortened(params)}")


def _check_path(rows: models.QuerySet[Any, Any], name: str) -> None:
    # Django finds the first part of an unknown path at once, the rest only when the query runs.
    if name != "pk" and name not in rows.query.annotations:
        rows.query.names_to_path(name.split("__"), rows.model._meta, fail_on_missing=True)


def _window(rows: Rows[Row], params: PaginationParams) -> Rows[Row]:
    return rows[params.offset : params.offset + params.size]


def _whole(name: str, value: object, most: int | None = None) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        if len(value) <= _MOST_DIGITS:
            value = int(value)
        elif most is None:
            raise ValidationError(
                f"{name} must be a whole number from 1 on, of at most {_MOST_DIGITS} digits, "
                f"got {shortened(value)}"
            )
    require_whole(name, value, 1, most)
    assert isinstance(value, int)  # require_whole has seen to it
    return value
