"""Compares what was promised with what happened: nothing lost, nothing doubled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from config.demo.client import Client
from config.demo.fakes import FakeServer
from config.demo.traffic import Ledger
from core.events import registry
from core.events.models import Delivery, EventRecord, Settlement
from core.events.payload import decode
from core.models import PlatformFeeConfig
from examples.tickets.models import Happening, Order, OrderLine, SalesFigures
from examples.tickets.signals import ticket_purchased, ticket_refunded
from workers.analytics.requests import EVENT as REQUEST
from workers.audit.models import AuditLog
from workers.audit.routes import NOT_AUDITED
from workers.notifications.models import Notification

SALES = (ticket_purchased.name, ticket_refunded.name)


@dataclass(frozen=True)
class Check:
    """One effect: how often it should have happened, what is missing, what is too much."""

    what: str
    expected: int
    lost: int
    doubled: int

    @property
    def passed(self) -> bool:
        """Whether it is exactly as it should be."""
        return not self.lost and not self.doubled


def compare(what: str, expected: Iterable[Any], found: Iterable[Any]) -> Check:
    """Return the check that both hold the same things equally often."""
    wanted, got = Counter(iter(expected)), Counter(iter(found))
    return Check(what, wanted.total(), (wanted - got).total(), (got - wanted).total())


class Verification:
    """Asks the database and the fake servers about everything that the crowd was told."""

    def __init__(self, ledger: Ledger, fakes: FakeServer, visitor: Client) -> None:
        self._ledger = ledger
        self._fakes = fakes
        self._visitor = visitor

    def checks(self) -> Iterator[Check]:
        """Yield every check."""
        yield self._orders()
        yield self._tickets()
        yield self._events()
        yield self._settlements()
        yield self._figures()
        yield self._audit()
        yield self._in_app()
        yield self._sms()
        yield self._posthog()
        yield self._city_guide()
        yield self._website()

    def _orders(self) -> Check:
        found = Order.objects.values_list("pk", flat=True)
        return compare("orders, as the API confirmed them", self._ledger.orders, map(str, found))

    def _tickets(self) -> Check:
        expected: Counter[str] = Counter()
        for order_id, order in self._ledger.orders.items():
            if order_id not in self._ledger.cancelled:
                for item in order["items"]:
                    expected[item["happening"]] += item["quantity"]
        found = Happening.objects.filter(sold__gt=0).values_list("pk", "sold")
        return compare(
            "tickets sold, not one too many",
            expected.elements(),
            Counter({str(pk): sold for pk, sold in found}).elements(),
        )

    def _events(self) -> Check:
        return compare(
            "events of these sales, none of a rollback", self._sales(), self._recorded_sales()
        )

    def _sales(self) -> Iterator[tuple[str, str, str]]:
        """Yield what was sold and what was refunded: event name, order, happening."""
        for order_id, order in self._ledger.orders.items():
            for item in order["items"]:
                yield ticket_purchased.name, order_id, item["happening"]
                if order_id in self._ledger.cancelled:
                    yield ticket_refunded.name, order_id, item["happening"]

    @staticmethod
    def _recorded_sales() -> Iterator[tuple[str, str, str]]:
        sales = EventRecord.objects.filter(name__in=SALES).order_by()
        for name, text in sales.values_list("name", "data"):
            data = decode(text)
            yield name, str(data["order_id"]), str(data["happening_id"])

    @staticmethod
    def _settlements() -> Check:
        settled = [
            (route, event)
            for route, events in Settlement.objects.values_list("route", "events")
            for event in events.split()
        ]
        left = Delivery.objects.order_by().values_list("route", "event_id")
        expected = {*settled, *((route, str(event)) for route, event in left)}
        return compare("deliveries, all settled, each once", expected, settled)

    @staticmethod
    def _figures() -> Check:
        lines = OrderLine.objects.values_list("happening", "quantity", "earnings", "fee")
        totals: dict[Any, tuple[Any, ...]] = {}
        for happening, *amounts in lines.filter(order__cancelled_at=None):
            before = totals.get(happening, (0, 0, 0))
            totals[happening] = tuple(map(sum, zip(before, amounts, strict=True)))
        found = SalesFigures.objects.values_list("pk", "tickets", "earnings", "fees")
        return compare(
            "sales figures, to the cent",
            [(happening, *amounts) for happening, amounts in totals.items()],
            [row for row in found if row[1]],
        )

    @staticmethod
    def _audit() -> Check:
        expected = _events(lambda name: not any(fnmatchcase(name, each) for each in NOT_AUDITED))
        rows = AuditLog.objects.order_by().values_list("event_id", "object_type", "object_id")
        # An event about several objects has a row for each.
        doubled = [event for event, count in Counter(rows).items() if count > 1]
        return compare("audit rows", expected, [*{event for event, *_ in rows}, *doubled])

    def _in_app(self) -> Check:
        found = Notification.objects.filter(channel="in_app", status="sent")
        return compare(
            "notifications in the app",
            _events(SALES.__contains__),
            found.order_by().values_list("event_id", flat=True),
        )

    def _sms(self) -> Check:
        expected: Counter[str] = Counter()
        for order_id, phone in self._ledger.phones.items():
            expected[phone] += len(self._ledger.orders[order_id]["items"])
        arrived = [item.data["To"] for item in self._fakes.received("twilio")]
        return compare("SMS that arrived at Twilio", expected.elements(), arrived)

    def _posthog(self) -> Check:
        expected = _events(
            lambda name: any(each.name == "analytics.capture" for each in registry.routes(name))
        )
        # PostHog itself drops repeats of a uuid.
        received = self._fakes.received("posthog")
        # Requests are no events: they may be lost.
        arrived = {item.key for item in received if item.data["event"] != REQUEST}
        return compare("events that arrived at PostHog", map(str, expected), arrived)

    def _city_guide(self) -> Check:
        listings: dict[str, int] = {}
        for call in self._fakes.received("webhook"):
            for listing in json.loads(call.data["body"])["listings"]:
                listings[listing["happening"]] = listing["available"]
        expected = {str(each.pk): each.available for each in Happening.objects.all()}
        return compare(
            "happenings with their newest availability in the city guide",
            expected.items(),
            listings.items(),
        )

    def _website(self) -> Check:
        shown = self._visitor.must("GET", "happenings")["happenings"]
        # From the row, past every cache.
        factor = 1 + PlatformFeeConfig.objects.get().fee_percentage / 100
        expected = [
            (str(each.pk), each.available, f"{each.price * factor:.2f}")
            for each in Happening.objects.all()
        ]
        return compare(
            "prices and availability on the website, with the new fee",
            expected,
            [(each["id"], each["available"], each["price"]) for each in shown],
        )


def _events(wanted: Callable[[str], bool]) -> list[UUID]:
    """Return the ids of all events whose names are wanted."""
    recorded = EventRecord.objects.order_by()
    names = filter(wanted, recorded.values_list("name", flat=True).distinct())
    return list(recorded.filter(name__in=list(names)).values_list("pk", flat=True))
