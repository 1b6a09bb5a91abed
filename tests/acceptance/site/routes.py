from __future__ import annotations

import logging
import time

from django.conf import settings

from core.events import Backoff, Event, registry

from .models import Effect
from .signals import ordered

logger = logging.getLogger(__name__)

SOON = Backoff(first=0.1, factor=1)
# What a killed worker held, begun or not, comes back after this.
LEASE = 4.0


@registry.route(
    ordered,
    name="bill",
    queue=f"{settings.QUEUE_PREFIX}audit",
    batch_size=20,
    atomic=True,
    lease=LEASE,
)
def bill(events: list[Event]) -> None:
    """Write a row for each event."""
    Effect.objects.bulk_create(_effect(event, "billed") for event in events)


@registry.route(
    ordered,
    name="ship",
    queue=f"{settings.QUEUE_PREFIX}default",
    when=lambda event: event.data["seconds"] > 0,
    lease=LEASE,
    backoff=SOON,
)
def ship(event: Event) -> None:
    """Take a while between two steps that anyone can see; not again when it is repeated."""
    _effect(event, "packed").save()
    if event.attempt == 1:
        time.sleep(event.data["seconds"])
    _effect(event, "shipped").save()
    logger.info("shipped")


def _effect(event: Event, step: str) -> Effect:
    return Effect(
        run=event.data["run"],
        step=step,
        delivery_id=event.delivery_id or "",
        attempt=event.attempt or 0,
    )
