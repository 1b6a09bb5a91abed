"""Pages of a list, chosen by `page` and `page_size` in the query."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from core import exceptions as errors
from core.db_toolkit.pagination import DEFAULT_SIZE, MAX_SIZE, PaginationParams, paginate
from core.helpers import calculate_pagination

_NAMES = ("page", "page_size", "size", "per_page")


class PageNumbers(PageNumberPagination):
    """`page` from 1; `page_size`, also written `size` or `per_page`, from 1 to 100.

    A page beyond the last is empty. What is no such number is answered with 400. The body has
    `count`, `next`, `previous`, `results`, and the numbers of `calculate_pagination`.
    """

    page_size = DEFAULT_SIZE
    max_page_size = MAX_SIZE
    page_size_query_param = "page_size"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of the page that the request asks for, in an order without ties."""
        self._url = request.build_absolute_uri()
        params = _params(request)
        if isinstance(queryset, QuerySet):
            found = paginate(queryset, params)
            items, total = found.items, found.total
        else:
            items, total = queryset[params.offset : params.offset + params.size], len(queryset)
        self._numbers = calculate_pagination(total, params.page, params.size)
        return list(items)

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


def _params(request: Request) -> PaginationParams:
    given = {
        name: str(request.query_params[name]) for name in _NAMES if name in request.query_params
    }
    for name, text in given.items():
        _made({name: text})
    return _made(given)


def _made(given: dict[str, str]) -> PaginationParams:
    try:
        return PaginationParams(**given)
    except errors.ValidationError as error:
        # One of the framework's own: every handler of its exceptions knows it.
        raise ValidationError({name: [error.message] for name in given}) from error
