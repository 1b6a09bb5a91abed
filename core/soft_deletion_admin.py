"""The admin of models that are soft-deleted: lists deleted rows on demand and restores them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from core.exceptions import ConflictError
from core.managers import SoftDeleteQuerySet

Choices = list[tuple[str, str]]


class DeletedFilter(SimpleListFilter):
    """Shows the rows that are not deleted, unless asked for the others."""

    title = "deleted"
    parameter_name = "deleted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Offer the deleted rows, and all."""
        return [("yes", "Yes"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        """Call what is shown without a choice by its name: not deleted."""
        default, *others = super().choices(changelist)
        return [{**default, "display": "No"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list to what was chosen."""
        if self.value() == "all":
            return queryset
        return queryset.filter(is_deleted=self.value() == "yes")


class SoftDeleteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Lists deleted rows on demand and restores them. "Delete" marks rows."""

    actions = ("restore_selected",)
    readonly_fields = ("is_deleted", "deleted_at")

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Put the filter for deleted rows before those of the model."""
        return [DeletedFilter, *super().get_list_filter(request)]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return all rows, so that a deleted one can be opened; the list filters them."""
        rows: SoftDeleteQuerySet[Any] = super().get_queryset(request).with_deleted()  # type: ignore[attr-defined]
        return rows

    @admin.action(description="Restore selected rows", permissions=["change"])
    def restore_selected(self, request: HttpRequest, queryset: Any) -> None:
        """Undo the deletion of the chosen rows, all of them or none."""
        try:
            count = queryset.restore()
        except ConflictError as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            self.message_user(request, f"{count} restored.", messages.SUCCESS)
