"""The admin of models that are soft-deleted: lists deleted rows on demand and restores them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from core.exceptions import ConflictError
from core.managers import SoftDeleteQuerySet
from core.soft_delete.cascade import cascades
from core.soft_delete.marks import MARKS

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


class SoftDeleteAdminMixin:
    """Lists deleted rows on demand and restores them; "delete" marks rows.

    It comes before ModelAdmin. What a child says of actions, filters and read-only fields is added
    to, not replaced. Deleting needs Django's permission to delete, restoring that to change.
    """

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Put the filter for deleted rows before those of the model."""
        return [DeletedFilter, *super().get_list_filter(request)]  # type: ignore[misc]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show whether and when the row was deleted."""
        return [*super().get_readonly_fields(request, obj), *MARKS]  # type: ignore[misc]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return all rows, so that a deleted one can be opened; the list filters them."""
        rows: SoftDeleteQuerySet[Any] = super().get_queryset(request).with_deleted()  # type: ignore[misc]
        return rows

    def get_actions(self, request: HttpRequest) -> Any:
        """Offer the restoring of rows to whoever may change them."""
        actions = super().get_actions(request)  # type: ignore[misc]
        if self.has_change_permission(request):  # type: ignore[attr-defined]
            actions["restore_selected"] = self.get_action("restore_selected")  # type: ignore[attr-defined]
        return actions

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what the confirmation lists: the rows alone, unless their deletion cascades."""
        if cascades(self.model):  # type: ignore[attr-defined]
            return super().get_deleted_objects(objs, request)  # type: ignore[misc]
        rows = [str(row) for row in objs]
        allowed = self.has_delete_permission(request)  # type: ignore[attr-defined]
        missing = set() if allowed else {str(self.opts.verbose_name)}  # type: ignore[attr-defined]
        return rows, {str(self.opts.verbose_name_plural): len(rows)}, missing, []  # type: ignore[attr-defined]

    @admin.action(description="Restore selected rows", permissions=["change"])
    def restore_selected(self, request: HttpRequest, queryset: Any) -> None:
        """Undo the deletion of the chosen rows, all of them or none."""
        try:
            count = queryset.restore()
        except ConflictError as error:
            self.message_user(request, error.message, messages.ERROR)  # type: ignore[attr-defined]
        else:
            self.message_user(request, f"{count} restored.", messages.SUCCESS)  # type: ignore[attr-defined]


class SoftDeleteAdmin(SoftDeleteAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """The admin of a soft-deletable model that needs nothing else."""
