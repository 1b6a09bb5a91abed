"""The audit log in the admin: to read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from .models import AuditLog


@admin.register(AuditLog)
class AuditLogAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Lists what happened, newest first; nobody adds, changes or deletes here."""

    list_display = ("occurred_at", "action", "actor", "object_type", "object_id", "object_text")
    list_filter = ("action", "object_type")
    search_fields = ("=object_id", "=actor", "=correlation_id")
    date_hierarchy = "occurred_at"
    # Counting millions of rows twice per page would make the page slow.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False
