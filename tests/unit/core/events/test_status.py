"""Status: where the deliveries of each route are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.events import EventSignal, UnknownRoute, deliver_pending, registry
from core.events import status as module
from core.events.interventions import pause
from core.events.models import Delivery, EventRecord, Settlement
from core.events.selection import Selection
from core.events.state import State
from core.events.status import RouteStatus, status

from .support import record_route

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid() -> EventSignal:
    """A signal."""
    return EventSignal("order.paid")


def route_status(name: str = "route") -> RouteStatus:
    """Return the status of one route."""
    return next(route for route in status().routes if route.route == name)


def put(number: int, **values: object) -> None:
    """Give the first so many ready deliveries other values."""
    ids = Delivery.objects.filter(state=State.READY).order_by("pk").values_list("pk", flat=True)
    Delivery.objects.filter(pk__in=list(ids[:number])).update(**values)


def test_counts_each_state(paid: EventSignal) -> None:
    """Ready and overdue deliveries are due; those whose time is to come are retrying."""
    record_route(paid, queue="audit")
    paid.send_many(None, [{}] * 15)
    now = timezone.now()
    put(1, state=State.WAITING, due_at=now - timedelta(minutes=1))
    put(2, state=State.WAITING, due_at=now + timedelta(minutes=1))
    put(3, state=State.LEASED, due_at=now + timedelta(minutes=1))
    put(4, state=State.DEAD)
    found = route_status()
    assert (found.queue, found.due, found.leased, found.retrying, found.dead) == (
        "audit",
        6,
        3,
        2,
        4,
    )
    assert (found.orphaned, found.paused) == (0, False)


def test_shows_routes_without_work(paid: EventSignal) -> None:
    """A registered route is shown with zeros; a route unknown to code without rows is not."""
    record_route(paid)
    paid.send(None)
    Delivery.objects.all().delete()
    assert status().routes == [RouteStatus("route", "default")]


def test_names_orphans(paid: EventSignal) -> None:
    """Deliveries of a route that is not registered count as orphaned, in whatever state."""
    record_route(paid, name="gone")
    paid.send_many(None, [{}] * 3)
    put(1, state=State.DEAD)
    registry.unroute("gone")
    found = route_status("gone")
    assert (found.queue, found.orphaned, found.due, found.dead) == (None, 3, 2, 1)


def test_shows_pauses(paid: EventSignal) -> None:
    """A paused route is shown as paused, with what accumulates."""
    record_route(paid)
    pause(Selection(routes=["route"]))
    paid.send(None)
    assert (route_status().paused, route_status().due) == (True, 1)


def test_age_is_that_of_the_next_in_line(paid: EventSignal) -> None:
    """The oldest age leaves dead deliveries aside, which may lie there for weeks."""
    record_route(paid)
    assert route_status().oldest_seconds is None
    paid.send_many(None, [{}] * 3)
    for days, record in zip((30, 2, 1), EventRecord.objects.order_by("pk"), strict=True):
        EventRecord.objects.filter(pk=record.pk).update(
            occurred_at=timezone.now() - timedelta(days=days)
        )
    put(1, state=State.DEAD)
    age = route_status().oldest_seconds
    assert age is not None
    assert 2 * 86400 <= age < 2 * 86400 + 60


def test_rate_is_of_the_last_minute(paid: EventSignal) -> None:
    """The rate is what was settled in the last minute, per second."""
    record_route(paid)
    paid.send_many(None, [{}] * 30)
    deliver_pending()
    old = timezone.now() - timedelta(minutes=5)
    Settlement.objects.create(route="route", outcome="done", count=999, events="", settled_at=old)
    assert route_status().rate == 0.5


def test_counts_events(paid: EventSignal) -> None:
    """A small number of events is counted exactly."""
    paid.send_many(None, [{}] * 7)
    found = status()
    assert (found.events, found.events_estimated) == (7, False)


@pytest.mark.postgres
def test_estimates_many_events(paid: EventSignal, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL, a large table of events is estimated, not read."""
    monkeypatch.setattr(module, "_COUNTED", 10)
    paid.send_many(None, [{}] * 300)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE signalbox_events_event")
    with CaptureQueriesContext(connection) as queries:
        found = status()
    assert found.events_estimated
    assert found.events >= 300
    assert not any('FROM "signalbox_events_event"' in query["sql"] for query in queries)


def test_narrows_to_a_selection(paid: EventSignal) -> None:
    """Routes, events and times narrow the table; unknown names are refused."""
    other = EventSignal("user.joined")
    for name in ("a", "b"):
        record_route("*", name=name)
    paid.send(None)
    other.send(None)
    assert [route.route for route in status(Selection(routes=["b*"])).routes] == ["b"]
    assert [route.due for route in status(Selection(events=["user.*"])).routes] == [1, 1]
    later = timezone.now() + timedelta(hours=1)
    assert [route.due for route in status(Selection(since=later)).routes] == [0, 0]
    with pytest.raises(UnknownRoute):
        status(Selection(routes=["c"]))


def test_costs_the_same_number_of_queries_however_much_there_is(paid: EventSignal) -> None:
    """The number of queries depends on the routes, not on the rows."""
    record_route(paid)
    paid.send(None)
    with CaptureQueriesContext(connection) as few:
        status()
    paid.send_many(None, [{}] * 500)
    with CaptureQueriesContext(connection) as many:
        status()
    assert len(few) == len(many)
