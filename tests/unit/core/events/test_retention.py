"""Retention: events and history that are past their days."""

from __future__ import annotations

from datetime import timedelta
from threading import Event as Flag
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from core.events import EventSignal, deliver_pending
from core.events import retention as module
from core.events.history import locked_history
from core.events.models import Delivery, EventRecord, Settlement
from core.events.replay import replay
from core.events.retention import prune
from core.events.selection import Selection

from .support import committing, in_threads, record_route, wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid() -> EventSignal:
    """A signal."""
    return EventSignal("order.paid")


def age(days: float) -> None:
    """Let all events and all history be so old."""
    then = timezone.now() - timedelta(days=days)
    EventRecord.objects.update(occurred_at=then)
    Settlement.objects.update(settled_at=then)


def fire_and_deliver(signal: EventSignal, count: int) -> None:
    """Fire so many events and deliver them one by one, so that each has a row of history."""
    for _ in range(count):
        signal.send(None)
        deliver_pending()


def test_removes_what_is_past_its_days(paid: EventSignal, settings: Any) -> None:
    """Settled events and their history go once they are older than the retention."""
    settings.EVENTS_RETENTION_DAYS = 30
    record_route(paid)
    fire_and_deliver(paid, 3)
    age(29)
    assert prune().as_dict() == {"events": 0, "settlements": 0}
    age(31)
    paid.send(None)
    assert prune().as_dict() == {"events": 3, "settlements": 3}
    assert EventRecord.objects.count() == 1


def test_keeps_events_with_open_deliveries(paid: EventSignal) -> None:
    """An event stays while one of its deliveries does, dead ones included."""
    paid.send_many(None, [{}] * 4)
    calls = record_route(paid, max_attempts=1)

    def fail(events: object) -> None:
        raise ValueError

    calls.behave = fail
    paid.send_many(None, [{}] * 2)
    deliver_pending()
    age(100)
    assert prune(days=90).events == 4
    assert {delivery.event.name for delivery in Delivery.objects.all()} == {"order.paid"}
    assert EventRecord.objects.count() == 2


def test_works_in_batches(paid: EventSignal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go a batch at a time; those that stay are passed over, not met again and again."""
    monkeypatch.setattr(module, "_BATCH", 2)
    record_route(paid, name="route")
    paid.send_many(None, [{"n": n} for n in range(9)])
    kept = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))[:4]
    Delivery.objects.exclude(pk__in=kept).delete()
    age(100)
    seen: list[tuple[int, int | None]] = []
    prune(days=90, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, None), (0, None), (2, None), (4, None), (5, None)]
    assert EventRecord.objects.count() == 4


def test_dry_run_counts(paid: EventSignal) -> None:
    """A dry run returns what would go, and keeps it."""
    record_route(paid)
    fire_and_deliver(paid, 2)
    paid.send(None)
    age(100)
    assert prune(days=90, dry_run=True).as_dict() == {"events": 2, "settlements": 2}
    assert EventRecord.objects.count() == 3


def test_zero_days_keep_everything(paid: EventSignal) -> None:
    """A retention of 0 days removes nothing."""
    paid.send(None)
    age(10_000)
    assert prune(days=0).events == 0


@committing
def test_replay_and_prune_exclude_each_other(paid: EventSignal) -> None:
    """No event goes while a replay gives it a delivery, which would then have lost its event."""
    record_route(paid)
    paid.send(None)
    Delivery.objects.all().delete()
    age(100)
    locked, release = Flag(), Flag()
    results: list[int] = []

    def run(index: int) -> None:
        if index == 0:
            with locked_history(connection.alias):
                locked.set()
                assert release.wait(20)
                replay_within()
        else:
            assert locked.wait(20)
            release.set()
            results.append(prune(days=90).events)

    def replay_within() -> None:
        replay(Selection())

    in_threads(2, run)
    assert results == [0]
    assert wait_until(lambda: Delivery.objects.get().event.name) == "order.paid"
