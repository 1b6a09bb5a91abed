"""What admin pages of records share: read only, and quick over millions of rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.events.conf import conf
from core.events.selection import known_routes


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Counts up to a limit, since counting all of a large table would take as long as reading it.

    What lies beyond is reached by the filters and the search.
    """

    limit = 10_000

    @cached_property
    def count(self) -> int:
        """Return the number of rows, or the limit when there are more."""
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[: self.limit].count())


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Nobody adds, changes or deletes here; lists stay quick over millions of rows."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_per_page = 50
    list_max_show_all = 200

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False


class EngineAdmin(ReadOnlyAdmin):
    """Such a page of the engine's own tables."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read from the engine's database."""
        return super().get_queryset(request).using(conf.database)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Tell whether the actions are offered: to those who may change the model."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"))


class RecentValuesFilter(admin.AllValuesFieldListFilter):
    """Offers the values that a field has in the newest rows.

    To look for those of all rows would take as long as reading the table.
    """

    rows = 1_000

    def __init__(
        self,
        field: Any,
        request: HttpRequest,
        params: Any,
        model: Any,
        model_admin: Any,
        field_path: str,
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        rows = model_admin.get_queryset(request).order_by("-pk")
        newest: Any = set(rows.values_list(field_path, flat=True)[: self.rows])
        self.lookup_choices = sorted(newest)  # type: ignore[assignment]  # any iterable will do


class RouteFilter(admin.SimpleListFilter):
    """Narrows a list to one route, without reading the table to find their names."""

    title = "route"
    parameter_name = "route"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the routes that code or database know."""
        return [(name, name) for name in known_routes()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list to the chosen route."""
        return queryset.filter(route=self.value()) if self.value() else queryset


class OutcomeFilter(admin.SimpleListFilter):
    """Narrows the history to one outcome."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer what a settlement can be."""
        return [("done", "done"), ("discarded", "discarded")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list to the chosen outcome."""
        return queryset.filter(outcome=self.value()) if self.value() else queryset


def uuid_of(text: str) -> UUID | None:
    """Return the UUID that a text is, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None


def link_to_event(event_id: object) -> SafeString:
    """Return a link to the page of an event."""
    url = reverse("admin:signalbox_events_eventrecord_change", args=[event_id])
    return format_html('<a href="{}">{}</a>', url, event_id)


def in_lines(pattern: str, rows: Sequence[tuple[object, ...]]) -> SafeString:
    """Return each row in a line of its own, written by this pattern."""
    return format_html_join("", f"<div>{pattern}</div>", rows)


def shortened(text: str | None) -> str:
    """Return the beginning of the first line."""
    return (text or "").partition("\n")[0][:120]
