"""What people do reaches PostHog in batches, pseudonymous, and without a key nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User

from config.demo.fakes import Failure, FakeServer, fake_server
from core.events import EventSignal, deliver_pending, registry
from core.events.models import Delivery
from core.signals.audit_signals import platform_fee_changed, system_error
from core.signals.user_activity import user_activity
from core.signals.user_signals import user_registered
from workers.analytics import routes
from workers.analytics.anonymise import pseudonym
from workers.analytics.routes import track

parcel_lost = EventSignal("parcel.lost")

pytestmark = pytest.mark.django_db


@pytest.fixture
def posthog(settings: Any) -> Iterator[FakeServer]:
    """A fake PostHog that the settings point to."""
    with fake_server() as fakes:
        settings.POSTHOG_API_KEY = "phc_test"
        settings.POSTHOG_HOST = fakes.url
        yield fakes


def search(count: int = 1) -> None:
    payload = {"user_id": "7", "action": "search", "properties": {"query": "ada@example.org"}}
    user_activity.send_many(sender=User, payloads=[payload] * count)


def outcome(**options: Any) -> dict[str, int]:
    return deliver_pending(**options).get("analytics.capture", {})


def test_activity_arrives_without_who_it_was(posthog: FakeServer) -> None:
    """The action arrives under a pseudonym, with addresses taken out."""
    search()
    assert outcome() == {"done": 1}
    (item,) = posthog.received("posthog")
    assert item.data["distinct_id"] == pseudonym(7)
    assert item.data["properties"]["properties"] == {"query": "[email]"}


def test_registrations_and_fee_changes_are_measured(posthog: FakeServer) -> None:
    """So are what the standing table names; contact data and who changed it stay."""
    user_registered.send(sender=User, user_id="7", email="ada@example.org", phone="+49171123456")
    platform_fee_changed.send(
        sender=None, old=Decimal("10.00"), new=Decimal("12.50"), changed_by="7"
    )
    system_error.send(sender=None, error="ValueError", message="ada@example.org", path="/")
    assert outcome() == {"done": 2}
    first, second = (item.data["properties"] for item in posthog.received("posthog"))
    assert "ada" not in repr(first)
    assert (second["old"], second["new"], second["changed_by"]) == (10.0, 12.5, pseudonym(7))


def test_many_events_are_few_requests(posthog: FakeServer) -> None:
    """Events travel in batches of hundreds; how many a claim takes varies."""
    search(250)
    assert outcome() == {"done": 250}
    assert posthog.requests("posthog") <= 4
    assert posthog.duplicates("posthog") == {}


def test_without_a_key_there_is_not_even_a_delivery(settings: Any) -> None:
    """Nothing is queued, sent or failed."""
    settings.POSTHOG_API_KEY = ""
    search()
    assert not Delivery.objects.filter(route="analytics.capture").exists()


def test_an_outage_delays_and_loses_nothing(posthog: FakeServer) -> None:
    """While PostHog is down the deliveries wait uncharged; then each event arrives once."""
    posthog.fail("posthog", Failure(times=1, status=503))
    search(150)
    assert outcome() == {"retried": 150}
    assert set(Delivery.objects.values_list("failures", flat=True)) == {0}
    assert outcome(include_scheduled=True) == {"done": 150}
    assert posthog.duplicates("posthog") == {}


def test_a_batch_too_large_is_split(posthog: FakeServer) -> None:
    """When PostHog refuses a batch for its size, its halves go."""
    posthog.fail("posthog", Failure(status=413))
    search(4)
    assert outcome() == {"done": 4}
    assert posthog.requests("posthog") == 3


def test_an_app_adds_its_events(posthog: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line in an app's routes lets its events be measured."""
    known = dict(routes._captured_events._patterns)
    assert registry.routes("parcel.lost") == [
        route for route in registry.routes("parcel.lost") if route.name != "analytics.capture"
    ]
    try:
        track(parcel_lost)
        parcel_lost.send(sender=None, weight=3)
        assert outcome() == {"done": 1}
    finally:
        routes._captured_events._patterns = known
        routes._captured_events.add()
