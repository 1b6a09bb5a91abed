"""Request logs in the admin: to read."""

from __future__ import annotations

from django.contrib import admin

from core.events.read_only_admin import ReadOnlyAdmin

from .models import RequestLog, RequestLogLoss


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnlyAdmin):
    """Lists requests, newest first; the search takes a correlation id or a user id."""

    # The path at the end: a long one would push the others out of the page.
    list_display = ("at", "method", "status", "duration_ms", "user_id", "correlation_id", "path")
    list_filter = ("at",)
    # Exact, not "=", which ignores case and so the index.
    search_fields = ("correlation_id__exact", "user_id__exact")
    search_help_text = "Correlation id or user id, in full."


@admin.register(RequestLogLoss)
class RequestLogLossAdmin(ReadOnlyAdmin):
    """Lists the processes whose request logs were lost, and how many."""

    list_display = ("last_at", "host", "dropped", "unwritten", "first_at", "process")
