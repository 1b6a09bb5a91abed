"""The demo's verification must see what is lost and what is doubled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from config.demo.fakes import FakeServer, Received, fake_server
from config.demo.traffic import Ledger
from config.demo.verify import Verification, compare
from core.events import deliver_pending
from core.events.models import EventRecord, Settlement
from examples.tickets import services
from examples.tickets.api import order_json
from examples.tickets.listing import on_sale
from examples.tickets.models import Happening, Order, SalesFigures
from examples.tickets.services import Item
from workers.notifications.models import Notification

PHONE = "+4915123456"


class Sold:
    """Two orders, one of them cancelled, with all their effects; and what the buyers were told."""

    def __init__(self, buyer: Any, happening: Happening, fakes: FakeServer) -> None:
        self.fakes = fakes
        self.ledger = Ledger()
        first, second = (self._buy(buyer, happening, PHONE) for _ in range(2))
        services.cancel(order=second)
        self.ledger.cancel(str(second.pk))
        self.first = first
        deliver_pending()

    def _buy(self, buyer: Any, happening: Happening, phone: str) -> Order:
        items = [Item(happening.pk, 2)]
        order, _ = services.buy(buyer=buyer, token=str(uuid4()), items=items, phone=phone)
        told = order_json(order)
        lines = [{**item, "happening": str(item["happening"])} for item in told["items"]]
        self.ledger.sold({**told, "id": str(order.pk), "items": lines}, phone)
        return order

    def wrong(self) -> dict[str, tuple[int, int]]:
        """Return what does not pass: lost and doubled by the first word of the check."""
        shown = [{**each, "id": str(each["id"]), "price": str(each["price"])} for each in on_sale()]
        visitor: Any = SimpleNamespace(must=lambda *args: {"happenings": shown})
        checks = list(Verification(self.ledger, self.fakes, visitor).checks())
        return {
            each.what.split(",")[0]: (each.lost, each.doubled) for each in checks if not each.passed
        }


@pytest.fixture
def sold(buyer: Any, happening: Callable[..., Happening], settings: Any) -> Iterator[Sold]:
    """Return a world in which everything went well."""
    with fake_server() as fakes:
        settings.TICKETS_CITY_GUIDE_URL = f"{fakes.url}/city-guide"
        settings.TWILIO_ACCOUNT_SID = settings.TWILIO_AUTH_TOKEN = "x"
        settings.TWILIO_FROM_NUMBER, settings.TWILIO_BASE_URL = "+15005550006", fakes.url
        settings.POSTHOG_API_KEY, settings.POSTHOG_HOST = "phc_x", fakes.url
        yield Sold(buyer, happening(), fakes)


def test_comparing_counts_what_is_missing_and_what_is_too_much() -> None:
    """Equal things count as often as they occur."""
    check = compare("letters", "aab", "abbc")
    assert (check.expected, check.lost, check.doubled) == (3, 1, 2)


def test_all_is_well(sold: Sold) -> None:
    """When everything took effect once, every check passes."""
    assert sold.wrong() == {}


def test_a_lost_order_is_seen(sold: Sold) -> None:
    """An order that the API confirmed and that is gone is lost, with its tickets."""
    sold.first.lines.all().delete()
    Order.objects.filter(pk=sold.first.pk).delete()
    assert sold.wrong()["orders"] == (1, 0)


def test_an_event_of_a_rollback_is_seen(sold: Sold) -> None:
    """An event without its order is one too many."""
    record = EventRecord.objects.filter(name="ticket.purchased").first()
    assert record
    record.pk = uuid4()
    record.save(force_insert=True)
    assert sold.wrong()["events of these sales"] == (0, 1)


def test_effects_that_are_lost_are_seen(sold: Sold) -> None:
    """A missing notification, sale in the figures and event at PostHog are each reported."""
    Notification.objects.filter(channel="in_app").first().delete()  # type: ignore[union-attr]
    SalesFigures.objects.update(tickets=1)
    sold.fakes.reset()
    wrong = sold.wrong()
    assert wrong["notifications in the app"] == (1, 0)
    assert wrong["sales figures"] == (1, 1)
    assert wrong["SMS that arrived at Twilio"] == (2, 0)
    assert wrong["events that arrived at PostHog"][0] >= 3


def test_effects_that_are_doubled_are_seen(sold: Sold) -> None:
    """A second SMS and a second settlement of one delivery are reported."""
    sold.fakes.record([Received("twilio", "again", {"To": PHONE})])
    settlement = Settlement.objects.filter(route="tickets.sales-figures").get()
    settlement.pk = None
    settlement.save()
    wrong = sold.wrong()
    assert wrong["SMS that arrived at Twilio"] == (0, 1)
    assert wrong["deliveries"] == (0, 3)
