"""Notification, its templates and what people do not want to hear."""

from __future__ import annotations

from collections import defaultdict

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now

from core.choices import NotificationChannel as Channel
from core.choices import NotificationStatus as Status

from .errors import TemplateError
from .rendering import fields_of

__all__ = [
    "Channel",
    "Notification",
    "NotificationPreference",
    "NotificationTemplate",
    "Status",
]


class Notification(models.Model):
    """One message to one person through one channel, and what became of it."""

    emits_events = False

    event_id = models.UUIDField(editable=False)
    # Of the delivery that created it, so that no delivery creates it twice; the second notification
    # of one delivery has "/1" at its end, and so on.
    delivery_id = models.CharField(max_length=100, editable=False)
    channel = models.CharField(max_length=10, choices=Channel)
    recipient = models.CharField(max_length=128, blank=True, help_text="User id.")
    address = models.CharField(max_length=320, blank=True, help_text="Phone number or e-mail.")
    template = models.CharField(max_length=100, blank=True)
    subject = models.CharField(max_length=200, blank=True)
    body = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    provider_id = models.CharField(max_length=100, blank=True, default="", db_default="")
    error = models.CharField(max_length=300, blank=True)
    tenant_id = models.CharField(max_length=128, blank=True)
    correlation_id = models.CharField(max_length=128, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        # Not unique=True, which gives a text on PostgreSQL a second index for LIKE.
        constraints = [
            models.UniqueConstraint(fields=["delivery_id"], name="signalbox_notification_once")
        ]
        indexes = [
            models.Index(fields=["recipient", "created_at"], name="signalbox_notification_inbox"),
            models.Index(
                fields=["status", "created_at"],
                name="signalbox_notification_open",
                condition=~models.Q(status=Status.SENT),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} notification {self.pk}: {self.status}"


class TemplateQuerySet(models.QuerySet["NotificationTemplate"]):
    """Questions about texts."""

    def texts(self, names: set[str]) -> dict[tuple[str, str], tuple[str, str]]:
        """Return {(name, channel): (subject, body)} of the templates of these names."""
        names = names - {""}
        if not names:
            return {}
        found = self.filter(name__in=names)
        return {(each.name, each.channel): (each.subject, each.body) for each in found}


class NotificationTemplate(models.Model):
    """A named text with variables: "Your code is {code}." """

    name = models.CharField(max_length=100)
    channel = models.CharField(max_length=10, choices=Channel)
    subject = models.CharField(max_length=200, blank=True)
    body = models.TextField()

    objects = TemplateQuerySet.as_manager()

    class Meta:
        ordering = ["name", "channel"]
        constraints = [
            models.UniqueConstraint(
                fields=["name", "channel"], name="signalbox_template_per_channel"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.channel})"

    def clean(self) -> None:
        """Refuse a text whose variables cannot be read."""
        for name in ("subject", "body"):
            try:
                fields_of(getattr(self, name))
            except TemplateError as error:
                raise ValidationError({name: error.message}) from error


class PreferenceQuerySet(models.QuerySet["NotificationPreference"]):
    """Questions about what people want."""

    def wishes(self, recipients: set[str]) -> dict[str, dict[str, bool]]:
        """Return, for those who said so, {recipient: {channel: whether it is wanted}}."""
        wishes: dict[str, dict[str, bool]] = defaultdict(dict)
        found = self.filter(recipient__in=recipients - {""})
        for recipient, channel, enabled in found.values_list("recipient", "channel", "enabled"):
            wishes[recipient][channel] = enabled
        return wishes


class NotificationPreference(models.Model):
    """Whether a person wants to be told through a channel; without a row they do."""

    recipient = models.CharField(max_length=128, help_text="User id.")
    channel = models.CharField(max_length=10, choices=Channel)
    enabled = models.BooleanField(default=True)

    objects = PreferenceQuerySet.as_manager()

    class Meta:
        ordering = ["recipient", "channel"]
        constraints = [
            models.UniqueConstraint(
                fields=["recipient", "channel"], name="signalbox_preference_per_channel"
            )
        ]

    def __str__(self) -> str:
        return f"{self.recipient}: {self.channel} {'on' if self.enabled else 'off'}"
