"""What follows from purchases and refunds: figures, messages, the city guide."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from config.demo.fakes import Failure, FakeServer, fake_server
from core.events import deliver_pending
from examples.tickets import services
from examples.tickets.models import Happening, Order, SalesFigures
from examples.tickets.services import Item
from workers.notifications.models import Notification

Make = Callable[..., Happening]


@pytest.fixture
def city_guide(settings: Any) -> Iterator[FakeServer]:
    """Return a city guide that remembers what it was told."""
    with fake_server() as server:
        settings.TICKETS_CITY_GUIDE_URL = f"{server.url}/city-guide"
        yield server


def buy(buyer: Any, happening: Happening, quantity: int, phone: str = "") -> Order:
    items = [Item(happening.pk, quantity)]
    return services.buy(buyer=buyer, token=str(uuid4()), items=items, phone=phone)[0]


def told(server: FakeServer) -> list[list[tuple[str, int]]]:
    """Return what each call told: title and availability of each listing."""
    calls = [json.loads(call.data["body"])["listings"] for call in server.received("webhook")]
    return [[(each["title"], each["available"]) for each in call] for call in calls]


def test_figures_count_each_sale_and_refund_once(buyer: Any, happening: Make) -> None:
    """Whatever was sold and refunded is in the totals, once, to the cent."""
    night = happening()
    buy(buyer, night, 3)
    services.cancel(order=buy(buyer, night, 2))
    deliver_pending()
    deliver_pending()
    figures = SalesFigures.objects.get(happening=night)
    assert (figures.purchases, figures.refunds, figures.tickets) == (2, 1, 3)
    assert (figures.earnings, figures.fees) == (Decimal("60.00"), Decimal("6.00"))


def test_buyers_are_told_in_the_app(buyer: Any, happening: Make) -> None:
    """A purchase and a refund are one notification each."""
    services.cancel(order=buy(buyer, happening(), 2))
    deliver_pending()
    found = Notification.objects.filter(channel="in_app", recipient=str(buyer.pk))
    subjects = {"Your tickets for Night Train", "Cancelled: Night Train"}
    assert set(found.values_list("subject", flat=True)) == subjects


def test_an_sms_goes_to_those_who_left_a_number(buyer: Any, happening: Make) -> None:
    """One SMS per purchase with a number, none for the others."""
    night = happening()
    buy(buyer, night, 1)
    order = buy(buyer, night, 2, phone="+4915123456")
    deliver_pending()
    deliver_pending()
    message = Notification.objects.get(channel="sms")
    assert message.address == "+4915123456"
    assert message.body == f"2 tickets for Night Train, order {order.pk}"


def test_the_city_guide_gets_the_newest_availability(
    buyer: Any, happening: Make, city_guide: FakeServer
) -> None:
    """Three purchases that wait together become one listing, the last one."""
    night = happening()
    for _ in range(3):
        buy(buyer, night, 1)
    deliver_pending()
    assert told(city_guide) == [[("Night Train", 7)]]


def test_a_listing_that_is_refused_does_not_hold_up_the_others(
    buyer: Any, happening: Make, city_guide: FakeServer
) -> None:
    """The guide chokes on one title; the other happening is listed all the same."""
    city_guide.fail("webhook", Failure(times=-1, status=500, containing="Ghost"))
    buy(buyer, happening(title="Ghost Train"), 1)
    buy(buyer, happening(), 1)
    deliver_pending()
    assert told(city_guide) == [[("Night Train", 9)]]


def test_without_a_city_guide_nothing_waits(buyer: Any, happening: Make, settings: Any) -> None:
    """Who has no city guide configured gets no retries and no dead deliveries."""
    settings.TICKETS_CITY_GUIDE_URL = ""
    buy(buyer, happening(), 1)
    counts = deliver_pending()
    assert counts["tickets.city-guide"] == {"discarded": 1}
