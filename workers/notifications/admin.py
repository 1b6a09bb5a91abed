"""Notifications in the admin: what became of them, and another try for those that did not arrive.

Numbers, addresses and texts are not shown; they are nobody's business but the recipient's.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from core.events.read_only_admin import BoundedPaginator, RecentValuesFilter

from .channels.sms import hidden
from .models import Notification, NotificationPreference, NotificationTemplate
from .sending import send_again


@admin.register(Notification)
class NotificationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Lists notifications, newest first; the one thing to do is to send again."""

    list_display = ("created_at", "channel", "recipient", "to", "template", "status", "error")
    list_filter = ("status", "channel", ("template", RecentValuesFilter))
    search_fields = ("=recipient", "=provider_id", "=correlation_id")
    exclude = ("address", "subject", "body")
    readonly_fields = ("to",)
    actions = ("send_again",)
    paginator = BoundedPaginator
    show_full_result_count = False

    @admin.display(description="to")
    def to(self, notification: Notification) -> str:
        """Return the address with all but its end hidden."""
        return hidden(notification.address) if notification.address else ""

    @admin.action(description="Send again (failed, unknown, only logged)", permissions=["change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        """Queue the chosen notifications that failed, are unknown or were only logged."""
        count = send_again(queryset)
        self.message_user(request, f"{count} queued.", messages.SUCCESS)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: notifications come from events."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return every field: what happened is not edited."""
        fields = [field.name for field in Notification._meta.fields]
        return [*self.readonly_fields, *(name for name in fields if name not in self.exclude)]


@admin.register(NotificationTemplate)
class NotificationTemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Edits the texts."""

    list_display = ("name", "channel", "subject")
    list_filter = ("channel",)
    search_fields = ("name",)


@admin.register(NotificationPreference)
class NotificationPreferenceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Edits what people want to hear."""

    list_display = ("recipient", "channel", "enabled")
    list_filter = ("channel", "enabled")
    search_fields = ("=recipient",)
