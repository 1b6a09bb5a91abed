"""What is out of date leaves the cache: at commit, and for certain by a delivery."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import transaction

from core.events import EventSignal, deliver_pending, muted
from core.events.models import Delivery
from core.fee import cache as fee_cache
from core.models import PlatformFeeConfig
from core.signals.audit_signals import cache_invalidation_requested
from workers.cache import routes
from workers.cache.invalidation import AtCommit, Rules
from workers.cache.routes import invalidates
from workers.cache.tasks import warm

menu_changed = EventSignal("menu.changed")


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """Begin and end with nothing cached."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def at_commit_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Act as if the process died right after its commit."""
    monkeypatch.setattr(routes._at_commit, "remove", lambda stale: None)


@pytest.fixture
def menu_rule() -> Iterator[None]:
    """Let a test add a rule of its own, and take it away again."""
    known, patterns = dict(routes._rules._rules), dict(routes._invalidated._patterns)
    invalidates(menu_changed, keys=["menu:{pk}"], patterns=["menus:*"])
    yield
    menu_changed.disconnect(dispatch_uid="cache.remove-at-commit")
    routes._rules = Rules()
    routes._rules._rules.update(known)
    routes._invalidated._patterns = patterns
    routes._invalidated.add()


def fill() -> None:
    cache.set_many({"menu:1": 1, "menu:2": 1, "menus:de:1": 1, "other": 1})


def left() -> set[str]:
    return set(cache.get_many(["menu:1", "menu:2", "menus:de:1", "other"]))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("menu_rule")
def test_at_commit_and_not_before() -> None:
    """The committing process removes the entries, after the commit."""
    fill()
    with transaction.atomic():
        menu_changed.send(sender=None, pk="1")
        assert len(left()) == 4
    assert left() == {"menu:2", "other"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("menu_rule")
def test_a_rollback_removes_nothing() -> None:
    """What did not happen makes nothing stale."""
    fill()
    with transaction.atomic():
        menu_changed.send(sender=None, pk="1")
        transaction.set_rollback(True)
    assert len(left()) == 4
    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("menu_rule", "at_commit_off")
def test_the_delivery_does_it_when_the_process_died() -> None:
    """A process that died after its commit leaves nothing stale for long."""
    fill()
    menu_changed.send(sender=None, pk="1")
    assert len(left()) == 4
    assert deliver_pending()["cache.invalidate"] == {"done": 1}
    assert left() == {"menu:2", "other"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("menu_rule")
def test_muting_leaves_the_cache_right() -> None:
    """A bulk import that records nothing still removes what it makes stale."""
    fill()
    with muted():
        menu_changed.send(sender=None, pk="1")
    assert left() == {"menu:2", "other"}


@pytest.mark.django_db
@pytest.mark.usefixtures("menu_rule")
def test_a_payload_that_does_not_fit_the_rule_fails_only_its_delivery() -> None:
    """Whoever fires is not disturbed; the delivery says what is wrong."""
    menu_changed.send(sender=None, name="no pk")
    assert deliver_pending()["cache.invalidate"] == {"failed": 1}
    assert "pk" in (Delivery.objects.get(route="cache.invalidate").error or "")


@pytest.mark.django_db
def test_a_request_names_keys_and_patterns() -> None:
    """Anybody can ask for keys and patterns to be removed."""
    fill()
    cache_invalidation_requested.send(
        sender=None, keys=["menu:1"], patterns=["menus:*"], reason="imported"
    )
    assert deliver_pending() == {"cache.invalidate": {"done": 1}}
    assert left() == {"menu:2", "other"}


@pytest.mark.django_db
def test_a_dead_cache_is_tried_again(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the cache is down firing works, and the delivery waits until it is back."""
    monkeypatch.setattr(routes, "_at_commit", AtCommit())
    fill()
    local = settings.CACHES
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    cache_invalidation_requested.send(sender=None, keys=["menu:1"], patterns=["menus:*"])
    assert deliver_pending()["cache.invalidate"] == {"failed": 1}
    caches["default"].close()
    settings.CACHES = local
    assert deliver_pending(include_scheduled=True)["cache.invalidate"] == {"done": 1}
    assert left() == {"menu:2", "other"}


@pytest.mark.django_db
@pytest.mark.usefixtures("at_commit_off")
def test_a_fee_change_clears_the_fee() -> None:
    """After the delivery nobody reads the old fee, and who read it before cannot put it back."""
    PlatformFeeConfig.warm_cache()
    row, stamp = fee_cache.read()
    assert row is not None
    config = PlatformFeeConfig.objects.get()
    config.fee_percentage = Decimal("12.50")
    config.save()
    # As if the process had died before it could clear anything, and another still had the old fee.
    _, latest = fee_cache.read()
    numbers = {"percentage": Decimal("10.00"), "fraction": Decimal("0.10")}
    fee_cache.fill(row, latest, **numbers)
    assert deliver_pending()["cache.invalidate"]["done"] >= 1
    for old in (stamp, latest):
        fee_cache.fill(row, old, **numbers)
        assert PlatformFeeConfig.get_fee_percentage() == Decimal("12.50")


@pytest.mark.django_db
def test_the_warm_up_makes_fee_reads_free(django_assert_num_queries: Any) -> None:
    """After `cache.warm` reading the fee costs no query."""
    assert warm()["platform_fee"] is True
    with django_assert_num_queries(0):
        PlatformFeeConfig.get_fee_percentage()
        PlatformFeeConfig.get_fee_decimal()
        PlatformFeeConfig.get_current_config()
