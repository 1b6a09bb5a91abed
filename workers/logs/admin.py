"""Request logs in the admin: to read."""

from __future__ import annotations

import re

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from core.events.read_only_admin import ReadOnlyAdmin

from .models import RequestLog, RequestLogLoss

# What of a path stays together in a line of the table.
_PARTS = re.compile(r"[^/]{1,16}/?|/", re.DOTALL)


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnlyAdmin):
    """Lists requests, newest first; the search takes a correlation id or a user id."""

    list_display = ("at", "request", "status", "duration_ms", "user_id", "correlation_id")
    list_filter = ("at",)
    # Exact, not "=", which ignores case and so the index.
    search_fields = ("correlation_id__exact", "user_id__exact")
    search_help_text = "Correlation id or user id, in full."

    @admin.display
    def request(self, log: RequestLog) -> str:
        """Return method and path, with places to break it: no column is pushed out of the page."""
        parts = format_html_join(mark_safe("<wbr>"), "{}", ((p,) for p in _PARTS.findall(log.path)))
        return format_html("{} {}", log.method, parts)


@admin.register(RequestLogLoss)
class RequestLogLossAdmin(ReadOnlyAdmin):
    """Lists the processes whose request logs were lost, and how many."""

    list_display = ("last_at", "host", "dropped", "unwritten", "first_at", "process")
