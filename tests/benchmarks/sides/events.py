"""An event as the other sides send it, with the same payload, to the same effects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import uuid_utils.compat as uuid_utils
from django.utils import timezone

from core.events import Event
from tests.benchmarks.shop import effects as shop_effects
from tests.benchmarks.shop.signals import counted, sold
from tests.benchmarks.shop.stamping import stamp
from tests.benchmarks.stamps import PLAIN

from .effects import EFFECTS

Message = dict[str, Any]


def message(data: dict[str, Any]) -> Message:
    """Return what a task is called with: all that its effect needs."""
    return {
        "id": str(uuid_utils.uuid7()),
        "occurred_at": timezone.now().isoformat(),
        "data": data,
    }


def carry_out(effect: int, given: Message) -> None:
    """Do one of the four effects of an event."""
    event = _event(sold.name, given)
    EFFECTS[effect](event)
    stamp(effect, [event])


def count_one(given: Message) -> None:
    """Do what the route that gets one event at a time does."""
    event = _event(counted.name, given)
    shop_effects.count_one(event)
    stamp(PLAIN, [event])


def _event(name: str, given: Message) -> Event:
    return Event(
        id=uuid_utils.UUID(given["id"]),
        name=name,
        version=1,
        data=given["data"],
        sender="bench_shop.sale",
        key=given["data"]["order_id"],
        occurred_at=datetime.fromisoformat(given["occurred_at"]),
        correlation_id=given["id"],
        delivery_id=given["id"],
        sensitive=sold.sensitive,
    )
