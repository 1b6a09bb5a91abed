"""Turns drafts into rows: those that are messages by themselves, and those still to be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.utils import timezone

from core.events import Event
from workers.bulk_insert import insert_rows

from .channels import CHANNELS
from .drafts import Draft
from .errors import TemplateError
from .models import Notification, NotificationPreference, NotificationTemplate, Status
from .rendering import render
from .signals import notification_queued

DEFAULT_CHANNEL = "in_app"
_LONGEST_ADDRESS = 320
_LONGEST_SUBJECT = 200
_LONGEST_ERROR = 300


def create(asked: Sequence[tuple[Event, Draft]]) -> None:
    """Store a notification per draft and channel, and queue those that have to be sent.

    One that cannot be sent (no address, a template that does not fit) is stored as failed, one
    that its recipient does not want as suppressed.
    """
    writer = _Writer([draft for _, draft in asked])
    rows = [row for event, draft in asked for row in writer.rows(event, draft)]
    _number(rows)
    pending = [row for row in rows if row["status"] == Status.PENDING]
    through = [row for row in rows if row["status"] != Status.PENDING]
    # What is queued may be sent at once, and must not be forgotten by a crash that happens then.
    insert_rows(Notification, through, durable=bool(pending))
    _queue(pending)


def _number(rows: Sequence[dict[str, Any]]) -> None:
    seen: Counter[str] = Counter()
    for row in rows:
        delivery_id = row["delivery_id"]
        if seen[delivery_id]:
            row["delivery_id"] += f"/{seen[delivery_id]}"
        seen[delivery_id] += 1


def _queue(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    stored = Notification.objects.bulk_create(Notification(**row) for row in rows)
    notification_queued.send_many(
        sender=Notification,
        payloads=[{"notification_id": row.pk, "channel": row.channel} for row in stored],
    )


class _Writer:
    """Fills in drafts with what was looked up once for the whole batch."""

    def __init__(self, drafts: Collection[Draft]) -> None:
        self._now = timezone.now()
        self._templates = NotificationTemplate.objects.texts({each.template for each in drafts})
        self._wishes = NotificationPreference.objects.wishes({each.recipient for each in drafts})

    def rows(self, event: Event, draft: Draft) -> Iterator[dict[str, Any]]:
        wishes = self._wishes.get(draft.recipient, {})
        preferred = sorted(channel for channel, wanted in wishes.items() if wanted)
        for name in [draft.channel] if draft.channel else preferred or [DEFAULT_CHANNEL]:
            wanted = draft.mandatory or wishes.get(name, True)
            yield self._row(event, draft.through(name), wanted)

    def _row(self, event: Event, draft: Draft, wanted: bool) -> dict[str, Any]:
        status, error, (subject, body) = self._prepared(draft)
        if not wanted:
            status = Status.SUPPRESSED
        return {
            "event_id": event.id,
            "delivery_id": event.delivery_id,
            "channel": draft.channel,
            "recipient": draft.recipient,
            "address": draft.address[:_LONGEST_ADDRESS],
            "template": draft.template,
            # A line break in a subject would begin a header of its own.
            "subject": " ".join(subject.split())[:_LONGEST_SUBJECT],
            "body": body,
            "status": status,
            "error": error[:_LONGEST_ERROR],
            "tenant_id": event.tenant_id or "",
            "correlation_id": event.correlation_id or "",
            "sent_at": self._now if status == Status.SENT else None,
        }

    def _prepared(self, draft: Draft) -> tuple[Status, str, tuple[str, str]]:
        instant = _channel(draft.channel).instant
        try:
            text = self._text(draft)
        except TemplateError as error:
            return Status.FAILED, error.message, ("", "")
        if not instant and not _is_usable(draft.address):
            return Status.FAILED, f"there is no usable address for {draft.channel}", text
        return Status.SENT if instant else Status.PENDING, "", text

    def _text(self, draft: Draft) -> tuple[str, str]:
        subject, body = draft.subject, draft.body
        if draft.template:
            if (draft.template, draft.channel) not in self._templates:
                raise TemplateError(f"there is no template {draft.template!r} for {draft.channel}")
            subject, body = self._templates[draft.template, draft.channel]
        if not draft.has_variables:
            return subject, body
        return render(subject, draft.values), render(body, draft.values)


def _is_usable(address: str) -> bool:
    return 0 < len(address) <= _LONGEST_ADDRESS and address.isprintable()


def _channel(name: str) -> Any:
    if name not in CHANNELS:
        raise ValueError(f"there is no channel {name!r}; use one of {', '.join(CHANNELS)}")
    return CHANNELS[name]
