"""The four effects for one event, as a task carries them out: quicker than batches of one.

They leave what Signalbox's leave: the same audit row, notification, event at PostHog and cache.
"""

from __future__ import annotations

from functools import cache as once
from typing import Any

from django.core.cache import cache
from django.utils import timezone

from core.events import Event
from tests.benchmarks.shop.payloads import cache_key
from workers.analytics.conf import conf
from workers.analytics.routes import _captured
from workers.audit.writer import write
from workers.bulk_insert import insert_rows
from workers.notifications.models import Channel, Notification, NotificationPreference, Status
from workers.notifications.rendering import render


def audit(event: Event) -> None:
    """Write the audit row. One statement, quicker than the ORM's."""
    write([event])


def notify(event: Event) -> None:
    """Write the notification unless its recipient does not want it."""
    recipient = str(event.data["buyer_id"])
    wishes = NotificationPreference.objects.filter(recipient=recipient, channel=Channel.IN_APP)
    wanted = True not in [not enabled for enabled in wishes.values_list("enabled", flat=True)]
    row = {
        "event_id": event.id,
        "delivery_id": event.delivery_id,
        "channel": Channel.IN_APP,
        "recipient": recipient,
        "address": "",
        "template": "",
        "subject": "",
        "body": render("Thank you for {amount} {currency}.", event.data),
        "status": Status.SENT if wanted else Status.SUPPRESSED,
        "error": "",
        "tenant_id": event.tenant_id or "",
        "correlation_id": event.correlation_id or "",
        "sent_at": timezone.now() if wanted else None,
    }
    insert_rows(Notification, [row])


def capture(event: Event) -> None:
    """Hand the event to PostHog's SDK, which sends batches from a thread of its own.

    The clock stops here, though the event has not left the process and is lost if that is killed.
    """
    given = _captured(event)
    _posthog().capture(
        given["event"],
        distinct_id=given["distinct_id"],
        properties=given["properties"],
        timestamp=event.occurred_at,
        uuid=given["uuid"],
    )


@once
def _posthog() -> Any:
    from posthog import Posthog  # after the fork: its thread would not survive one

    return Posthog(
        conf.api_key,
        host=conf.host,
        timeout=conf.timeout,
        flush_at=100,
        flush_interval=0.5,
    )


def invalidate(event: Event) -> None:
    """Remove the cached value."""
    cache.delete(cache_key(event.data["order_id"]))


EFFECTS = (audit, notify, capture, invalidate)
