"""The audit log in the admin: to read."""

from __future__ import annotations

from django.contrib import admin

from core.events.read_only_admin import ReadOnlyAdmin, RecentValuesFilter

from .models import AuditLog


@admin.register(AuditLog)
class AuditLogAdmin(ReadOnlyAdmin):
    """Lists what happened, newest first; nobody adds, changes or deletes here."""

    list_display = ("occurred_at", "action", "actor", "object_type", "object_id", "object_text")
    list_filter = (
        "occurred_at",
        ("action", RecentValuesFilter),
        ("object_type", RecentValuesFilter),
    )
    search_fields = ("=object_id", "=actor", "=correlation_id")
