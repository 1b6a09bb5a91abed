"""Buying, refunding and publishing, and what they tell others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.events import Event, capture_events
from core.exceptions import BusinessRuleError, ConflictError, NotFoundError
from examples.tickets import services
from examples.tickets.models import Happening, Order, OrderLine, Organiser
from examples.tickets.services import Item

Make = Callable[..., Happening]


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event.name == name]


def buy(buyer: Any, *items: Item, token: str = "") -> tuple[Order, bool]:
    return services.buy(buyer=buyer, token=token or str(uuid4()), items=items, phone="+4915123456")


def test_a_purchase_takes_tickets_and_adds_the_fee(buyer: Any, happening: Make) -> None:
    """Two tickets at 20.00 earn the organiser 40.00; the fee of 10 % comes on top."""
    night = happening()
    with capture_events():
        order, is_new = buy(buyer, Item(night.pk, 2))
    night.refresh_from_db()
    line = order.lines.get()
    assert is_new
    assert (night.sold, night.available) == (2, 8)
    assert (line.earnings, line.fee, order.total) == (Decimal(40), Decimal(4), Decimal(44))


def test_a_purchase_is_announced_once_per_happening(buyer: Any, happening: Make) -> None:
    """`ticket.purchased` carries what its routes need, keyed by the happening."""
    night, morning = happening(), happening(title="Morning Train")
    with capture_events() as events:
        order, _ = buy(buyer, Item(night.pk, 2), Item(morning.pk, 1))
    first, second = named(events, "ticket.purchased")
    assert (first.key, second.key) == (str(night.pk), str(morning.pk))
    assert first.data["order_id"] == order.pk
    assert first.data["available"] == 8
    assert first.data["fee"] == Decimal("4.00")
    assert first.public_data["phone"] == "***"


def test_the_same_token_gives_the_same_order(buyer: Any, happening: Make) -> None:
    """A client that sends an order again gets the first one back and nothing is sold twice."""
    night = happening()
    with capture_events() as events:
        first, _ = buy(buyer, Item(night.pk, 2), token="token-001")
        again, is_new = buy(buyer, Item(night.pk, 2), token="token-001")
    night.refresh_from_db()
    assert (again.pk, is_new, night.sold) == (first.pk, False, 2)
    assert len(named(events, "ticket.purchased")) == 1


def test_a_token_belongs_to_one_basket(buyer: Any, happening: Make) -> None:
    """The same token for something else is refused instead of answered with the wrong order."""
    night = happening()
    with capture_events():
        buy(buyer, Item(night.pk, 2), token="token-001")
        with pytest.raises(ConflictError) as caught:
            buy(buyer, Item(night.pk, 3), token="token-001")
    assert caught.value.code == "TOKEN_USED"


def test_tokens_of_two_people_do_not_meet(person: Callable[..., Any], happening: Make) -> None:
    """Each buyer has tokens of their own: nobody can see or block another's order."""
    night = happening()
    with capture_events():
        first, _ = buy(person("ann"), Item(night.pk, 1), token="token-001")
        second, is_new = buy(person("bob"), Item(night.pk, 1), token="token-001")
    assert is_new
    assert first.pk != second.pk


def test_a_basket_is_sold_whole_or_not_at_all(buyer: Any, happening: Make) -> None:
    """When the second happening is sold out, the first one's tickets go back as well."""
    night, full = happening(), happening(title="Full House", capacity=1)
    with capture_events(), pytest.raises(ConflictError) as caught:
        buy(buyer, Item(night.pk, 2), Item(full.pk, 2))
    night.refresh_from_db()
    assert caught.value.details == {"happening": full.pk, "available": 1}
    assert (night.sold, Order.objects.count(), OrderLine.objects.count()) == (0, 0, 0)


def test_the_last_ticket_can_be_bought(buyer: Any, happening: Make) -> None:
    """Exactly the capacity is sold, and then no more."""
    night = happening(capacity=2)
    with capture_events():
        buy(buyer, Item(night.pk, 2))
        with pytest.raises(ConflictError):
            buy(buyer, Item(night.pk, 1))


def test_the_database_refuses_to_oversell(happening: Make) -> None:
    """Code that forgets to look is stopped by a constraint."""
    night = happening(capacity=2)
    with pytest.raises(IntegrityError), transaction.atomic():
        Happening.objects.filter(pk=night.pk).update(sold=3)


def test_an_unknown_happening_is_named(buyer: Any, db: None) -> None:
    """The error says which happening does not exist."""
    unknown = uuid4()
    with pytest.raises(NotFoundError) as caught:
        buy(buyer, Item(unknown, 1))
    assert caught.value.details == {"happening": unknown}


def test_what_has_begun_is_not_sold(buyer: Any, happening: Make) -> None:
    """Tickets are sold until the happening begins."""
    past = happening(starts_at=timezone.now() - timedelta(minutes=1))
    with pytest.raises(BusinessRuleError):
        buy(buyer, Item(past.pk, 1))


def test_cancelling_puts_the_tickets_back_once(buyer: Any, happening: Make) -> None:
    """A second cancellation changes nothing and announces nothing."""
    night = happening()
    with capture_events() as events:
        order, _ = buy(buyer, Item(night.pk, 2))
        cancelled = services.cancel(order=order)
        services.cancel(order=order)
    night.refresh_from_db()
    assert cancelled.cancelled_at is not None
    assert night.sold == 0
    assert [event.data["available"] for event in named(events, "ticket.refunded")] == [10]


def test_publishing_is_announced(organiser: Organiser) -> None:
    """`happening.published` tells the title and how many tickets there are."""
    with capture_events() as events:
        night = services.publish(
            organiser=organiser,
            title="Night Train",
            starts_at=timezone.now() + timedelta(days=1),
            price=Decimal("20.00"),
            capacity=10,
        )
    (event,) = named(events, "happening.published")
    assert event.data == {"happening_id": night.pk, "title": "Night Train", "available": 10}
