"""What follows from what happens here: the wiring table of the tickets app."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from core.events import Backoff, Discard, Event, registry
from core.signals.audit_signals import platform_fee_changed
from core.signals.notification_events import notification_requested
from workers.analytics.routes import track
from workers.cache.routes import invalidates
from workers.notifications.routes import notifies

from . import city_guide
from .listing import ON_SALE
from .models import Order, SalesFigures
from .signals import happening_published, ticket_purchased, ticket_refunded

# The list of happenings shows prices and what is left.
invalidates(
    happening_published,
    ticket_purchased,
    ticket_refunded,
    platform_fee_changed,
    keys=[ON_SALE],
)

# Measured: nothing in a payload that says who somebody is leaves the house.
track(happening_published, ticket_purchased, ticket_refunded)

# Told to buyers in the app.
notifies(
    ticket_purchased,
    channel="in_app",
    recipient="buyer_id",
    subject="Your tickets for {title}",
    body="{quantity} of them are yours. Have a good time!",
)
notifies(
    ticket_refunded,
    channel="in_app",
    recipient="buyer_id",
    subject="Cancelled: {title}",
    body="Your {quantity} tickets went back on sale; the money is on its way.",
)


@registry.route(
    ticket_purchased,
    name="tickets.confirm-by-sms",
    queue="notifications",
    when=lambda event: bool(event.data["phone"]),
    batch_size=100,
    atomic=True,
    lease=10,
)
def confirm_by_sms(events: list[Event]) -> None:
    """Ask for an SMS to each buyer who left a number."""
    # Atomic, since it fires: a repeated handler would otherwise ask for a second SMS.
    notification_requested.send_many(
        sender=Order, payloads=[_confirmation(event.data) for event in events]
    )


def _confirmation(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "channel": "sms",
        "recipient_id": data["buyer_id"],
        "address": data["phone"],
        "body": f"{data['quantity']} tickets for {data['title']}, order {data['order_id']}",
    }


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
