"""What follows from what happens here: the wiring table of the tickets app."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from core.events import Backoff, Discard, Event, registry

from . import city_guide
from .models import SalesFigures
from .signals import happening_published, ticket_purchased, ticket_refunded


@registry.route(
    ticket_purchased,
    ticket_refunded,
    name="tickets.sales-figures",
    batch_size=200,
    atomic=True,
    lease=10,
)
def count_sales(events: list[Event]) -> None:
    """Add sales and refunds to the running totals, each exactly once."""
    changes: dict[UUID, Counter[str]] = defaultdict(Counter)
    for event in events:
        changes[event.data["happening_id"]].update(_figures(event))
    # Sorted, so that two workers never wait for each other's rows.
    for happening_id, change in sorted(changes.items()):
        _add(happening_id, change)


def _add(happening_id: UUID, change: Mapping[str, Any]) -> None:
    locked = SalesFigures.objects.select_for_update()
    figures, _ = locked.get_or_create(happening_id=happening_id)
    for name, amount in change.items():
        # Added here and not by SQL: SQLite would compute money in floating point.
        setattr(figures, name, getattr(figures, name) + amount)
    figures.save()


def _figures(event: Event) -> dict[str, Any]:
    sold = event.name == ticket_purchased.name
    sign = 1 if sold else -1
    return {
        "purchases" if sold else "refunds": 1,
        "tickets": sign * event.data["quantity"],
        "earnings": sign * event.data["earnings"],
        "fees": sign * event.data["fee"],
    }


@registry.route(
    happening_published,
    ticket_purchased,
    ticket_refunded,
    name="tickets.city-guide",
    batch_size=50,
    ordered=True,
    coalesce=True,
    max_attempts=4,
    backoff=Backoff(first=0.5, limit=2),
    lease=10,
)
def tell_city_guide(events: list[Event]) -> None:
    """Show the city guide the newest availability of each happening, never an older one."""
    if not settings.TICKETS_CITY_GUIDE_URL:
        raise Discard("TICKETS_CITY_GUIDE_URL is not set")
    city_guide.update_listings([_listing(event) for event in events])


def _listing(event: Event) -> city_guide.Listing:
    data = event.data
    return city_guide.Listing(str(data["happening_id"]), data["title"], data["available"])
