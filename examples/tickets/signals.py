"""What happens here that others may want to know: fired by `services`, routed by any app."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core.events import EventSignal


@dataclass(frozen=True)
class HappeningPublished:
    """A happening is on sale."""

    happening_id: UUID
    title: str
    available: int


@dataclass(frozen=True)
class TicketPurchased:
    """Somebody bought tickets of one happening; `available` is what was left then."""

    order_id: UUID
    happening_id: UUID
    title: str
    buyer_id: str
    phone: str
    quantity: int
    earnings: Decimal
    fee: Decimal
    available: int


@dataclass(frozen=True)
class TicketRefunded:
    """Tickets of one happening went back on sale because their order was cancelled."""

    order_id: UUID
    happening_id: UUID
    title: str
    buyer_id: str
    phone: str
    quantity: int
    earnings: Decimal
    fee: Decimal
    available: int


# The happening is the key: routes that are ordered or coalesced are so per happening.
happening_published = EventSignal(
    "happening.published", schema=HappeningPublished, key="happening_id"
)
ticket_purchased = EventSignal(
    "ticket.purchased", schema=TicketPurchased, key="happening_id", sensitive={"phone"}
)
ticket_refunded = EventSignal(
    "ticket.refunded", schema=TicketRefunded, key="happening_id", sensitive={"phone"}
)
