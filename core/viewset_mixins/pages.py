"""Pages of a list, chosen by `page` and `page_size` in the query."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from core.helpers import calculate_pagination, shortened

_SIZES = ("page_size", "size", "per_page")


class PageNumbers(PageNumberPagination):
    """`page` from 1; `page_size`, also written `size` or `per_page`, from 1 to 100.

    A page beyond the last is empty. What is no such number is answered with 400. The body has
    `count`, `next`, `previous`, `results`, and the numbers of `calculate_pagination`.
    """

    page_size = 20
    max_page_size = 100
    page_size_query_param = "page_size"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of the page that the request asks for."""
        self._url = request.build_absolute_uri()
        page = _number(request, ["page"], 1)
        size = _number(request, _SIZES, self.page_size, most=self.max_page_size)
        count = Paginator(queryset, size).count
        self._numbers = calculate_pagination(count, page, size)
        if page > self._numbers["total_pages"]:
            return []
        if isinstance(queryset, QuerySet) and not queryset.ordered:
            # Without an order a row may be on two pages and another on none.
            queryset = queryset.order_by("pk")
        return list(queryset[(page - 1) * size : page * size])

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page with its numbers and the links to its neighbours."""
        numbers: dict[str, Any] = dict(self._numbers)
        return Response(
            {
                "count": numbers.pop("total_items"),
                "next": self.get_next_link(),
                "previous": self.get_previous_link(),
                **numbers,
                "results": data,
            }
        )

    def get_next_link(self) -> str | None:
        """Return the address of the page after this one, if there is one."""
        return self._link(self._numbers["page"] + 1) if self._numbers["has_next"] else None

    def get_previous_link(self) -> str | None:
        """Return the address of the page before this one; from beyond the end, of the last."""
        before = min(self._numbers["page"] - 1, self._numbers["total_pages"])
        return self._link(before) if before >= 1 else None

    def _link(self, page: int) -> str:
        return replace_query_param(self._url, "page", page)


class PaginationMixin:
    """Give a view the standard pages; it goes before the view class."""

    pagination_class = PageNumbers


def _number(request: Request, names: Any, default: int, most: int | None = None) -> int:
    given = {name: request.query_params[name] for name in names if name in request.query_params}
    if len(set(given.values())) > 1:
        raise ValidationError({name: ["Give only one of these."] for name in given})
    for name, text in given.items():
        # Python takes more than ASCII digits for a number, and no more than 4300 of them.
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
        if number < 1 or (most is not None and number > most):
            span = "from 1 on" if most is None else f"from 1 to {most}"
            raise ValidationError({name: [f"must be a number {span}, got {shortened(text)}"]})
        return number
    return default
