"""The four effects, which every side calls: the project's own functions."""

from __future__ import annotations

from typing import Any

from django.db import connection

from core.events import Event
from workers.analytics.routes import capture
from workers.audit.routes import record
from workers.cache.routes import invalidate, invalidates
from workers.notifications.routes import create_notifications, notifies

from .payloads import cache_key

# In the order of `stamps.EFFECTS`. Each takes a list of events.
EFFECTS = (record, create_notifications, capture, invalidate)


def declare(event_name: str) -> None:
    """Say what an event of this name means to notifications and caches."""
    notifies(event_name, recipient="buyer_id", body="Thank you for {amount} {currency}.")
    # By name: at commit in process it would be gone before the effect that is measured.
    invalidates(event_name, keys=_keys)


def _keys(data: Any) -> list[str]:
    return [cache_key(data["order_id"])]


def count_one(event: Event) -> None:
    """Write a row for one event: the effect of the route that gets one event at a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO bench_shop_sale (order_id, amount) VALUES (%s, %s)",
            [event.data["order_id"], event.data["amount"]],
        )
