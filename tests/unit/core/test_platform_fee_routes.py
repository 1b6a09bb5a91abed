"""What a change of the fee leads to, through the routes of the system: audit, analytics, cache."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.utils import timezone

from config.demo.fakes import FakeServer, fake_server
from core.events import deliver_pending
from core.events.models import Delivery, EventRecord
from core.fee import cache as fee_cache
from core.models import PlatformFeeChange, PlatformFeeConfig
from tests.unit.core.events.support import roll_back
from workers.audit.models import AuditLog

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def posthog(settings: Any) -> Iterator[FakeServer]:
    """A fake PostHog that the settings point to, and an empty cache."""
    cache.clear()
    with fake_server() as fakes:
        settings.POSTHOG_API_KEY = "phc_test"
        settings.POSTHOG_HOST = fakes.url
        yield fakes
    cache.clear()


@pytest.fixture
def boss() -> Any:
    """A user who changes fees."""
    return get_user_model().objects.create(username="boss")


def change(percentage: str, by: Any) -> None:
    config = PlatformFeeConfig.get_current_config()
    config.fee_percentage = Decimal(percentage)
    config.updated_by = by
    config.save()


def test_a_committed_change(posthog: FakeServer, boss: Any) -> None:
    """It leaves one audit row with who made it, one analytics event, and no old cache."""
    PlatformFeeConfig.warm_cache()
    change("12.50", boss)
    outcomes = deliver_pending()
    for route in ("audit.record", "analytics.capture", "cache.invalidate"):
        assert outcomes[route] == {"done": 1}
    row = AuditLog.objects.get(action="platform_fee.changed")
    assert (row.actor, row.object_type) == (str(boss.pk), "core.platformfeeconfig")
    assert row.changes == {"platform_fee": ["10.00", "12.50"]}
    (item,) = posthog.received("posthog")
    assert (item.data["properties"]["old"], item.data["properties"]["new"]) == (10.0, 12.5)
    assert fee_cache.read()[0] is None
    assert PlatformFeeConfig.get_fee_percentage() == Decimal("12.5")


def test_a_change_that_is_rolled_back(posthog: FakeServer, boss: Any) -> None:
    """It sends nothing, is on no record and leaves the old fee in force."""
    roll_back(lambda: change("12.50", boss))
    assert deliver_pending() == {}
    assert not any(each.objects.exists() for each in (Delivery, EventRecord, PlatformFeeChange))
    assert not AuditLog.objects.exists()
    assert posthog.received("posthog") == []
    assert PlatformFeeConfig.get_fee_percentage() == Decimal(10)


def test_a_plan_and_what_becomes_of_it(posthog: FakeServer, boss: Any) -> None:
    """Planning is audited at once; the change is, with who planned it, when it takes effect."""
    PlatformFeeConfig.plan_change("12.50", timezone.now() + timedelta(hours=1), by=boss)
    assert deliver_pending()["cache.invalidate"] == {"done": 1}
    planned = AuditLog.objects.get(action="platform_fee.planned")
    assert planned.actor == str(boss.pk)
    assert planned.changes["planned_percentage"] == [None, "12.50"]
    assert posthog.received("posthog") == []
    PlatformFeeConfig._base_manager.update(planned_from=timezone.now() - timedelta(hours=1))
    PlatformFeeConfig.apply_planned_change()
    assert deliver_pending()["analytics.capture"] == {"done": 1}
    row = AuditLog.objects.get(action="platform_fee.changed")
    assert (row.actor, row.changes) == (str(boss.pk), {"platform_fee": ["10.00", "12.50"]})
