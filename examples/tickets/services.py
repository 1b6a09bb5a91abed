"""What organisers and buyers do. Every function is one transaction, its events included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from core.exceptions import BusinessRuleError, ConflictError, NotFoundError
from core.models import PlatformFeeConfig

from .models import Happening, Order, OrderLine, Organiser
from .signals import happening_published, ticket_purchased, ticket_refunded


@dataclass(frozen=True)
class Item:
    """So many tickets of one happening."""

    happening_id: UUID
    quantity: int


@transaction.atomic
def publish(
    *, organiser: Organiser, title: str, starts_at: datetime, price: Decimal, capacity: int
) -> Happening:
    """Put a happening on sale and return it."""
    happening: Happening = Happening.objects.create(
        organiser=organiser, title=title, starts_at=starts_at, price=price, capacity=capacity
    )
    happening_published.send(
        sender=Happening,
        happening_id=happening.pk,
        title=happening.title,
        available=happening.available,
    )
    return happening


@transaction.atomic
def buy(*, buyer: Any, token: str, items: Sequence[Item], phone: str = "") -> tuple[Order, bool]:
    """Place an order for all of `items` or for none; return it, and whether it is new.

    The same `token` again returns the order that it made before, so that a client may retry.
    Raises NotFoundError for an unknown happening, ConflictError when one is sold out or the
    token was used for something else, BusinessRuleError when one has begun.
    """
    order, is_new = Order.objects.get_or_create(buyer=buyer, token=token, defaults={"phone": phone})
    if not is_new:
        _require_same(order, items)
        return order, False
    happenings = _lock(item.happening_id for item in items)
    for item in items:
        # An error at a later item undoes the earlier ones, and their events with them.
        _sell(order, happenings[item.happening_id], item.quantity)
    return order, True


@transaction.atomic
def cancel(*, order: Order) -> Order:
    """Cancel an order, put its tickets back on sale and return it; a second time changes nothing.

    Raises BusinessRuleError when one of its happenings has begun.
    """
    order = Order.objects.select_for_update().get(pk=order.pk)
    if order.cancelled_at:
        return order
    order.cancelled_at = timezone.now()
    order.save(update_fields=["cancelled_at"])
    lines = list(order.lines.all())
    happenings = _lock(line.happening_id for line in lines)
    for line in lines:
        _put_back(order, line, happenings[line.happening_id])
    return order


def _sell(order: Order, happening: Happening, quantity: int) -> None:
    if happening.available < quantity:
        raise ConflictError(
            f"{happening} has {happening.available} tickets left, not {quantity}",
            code="SOLD_OUT",
            details={"happening": happening.pk, "available": happening.available},
        )
    earnings = PlatformFeeConfig.calculate_host_earnings(happening.price, quantity)
    fee = PlatformFeeConfig.calculate_platform_fee(happening.price, quantity)
    happening.sold += quantity
    happening.save(update_fields=["sold"])
    line = OrderLine.objects.create(
        order=order, happening=happening, quantity=quantity, earnings=earnings, fee=fee
    )
    ticket_purchased.send(sender=Order, **_news(order, line, happening))


def _put_back(order: Order, line: OrderLine, happening: Happening) -> None:
    happening.sold -= line.quantity
    happening.save(update_fields=["sold"])
    ticket_refunded.send(sender=Order, **_news(order, line, happening))


def _news(order: Order, line: OrderLine, happening: Happening) -> dict[str, Any]:
    return {
        "order_id": order.pk,
        "happening_id": happening.pk,
        "title": happening.title,
        "buyer_id": str(order.buyer_id),
        "phone": order.phone,
        "quantity": line.quantity,
        "earnings": line.earnings,
        "fee": line.fee,
        "available": happening.available,
    }


def _lock(happening_ids: Iterable[UUID]) -> dict[UUID, Happening]:
    """Lock these happenings until the transaction ends, so that nobody else sells them."""
    wanted = set(happening_ids)
    # Always in the order of their keys: two baskets can then not wait for each other.
    found = Happening.objects.select_for_update().filter(pk__in=wanted).order_by("pk")
    happenings = {happening.pk: happening for happening in found}
    for missing in wanted - happenings.keys():
        raise NotFoundError("There is no such happening", details={"happening": missing})
    for happening in happenings.values():
        if happening.starts_at <= timezone.now():
            raise BusinessRuleError(f"{happening} has begun", code="HAPPENING_BEGAN")
    return happenings


def _require_same(order: Order, items: Sequence[Item]) -> None:
    ordered = {(line.happening_id, line.quantity) for line in order.lines.all()}
    if ordered != {(item.happening_id, item.quantity) for item in items}:
        raise ConflictError("This token belongs to another order", code="TOKEN_USED")
