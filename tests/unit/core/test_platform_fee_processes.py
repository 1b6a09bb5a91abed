"""The fee under concurrent change by real processes that share a database and a cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import connection, transaction
from django.utils import timezone

from core.events.models import EventRecord
from core.models import PlatformFeeChange, PlatformFeeConfig
from tests.unit.core.events.support import join, processes, wait_until

APPS = ["core", "core.events", "django.contrib.auth", "django.contrib.contenttypes"]
PROCESSES = 4
CHANGES = 4

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True, available_apps=APPS),
]


@pytest.fixture(autouse=True)
def shared_cache(settings: Any, redis_url: str) -> Iterator[None]:
    """One cache for all processes."""
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": redis_url,
            "KEY_PREFIX": f"fee-{os.getpid()}",
        }
    }
    settings.PLATFORM_FEE_PROCESS_SECONDS = 0.01
    PlatformFeeConfig.get_current_config()
    PlatformFeeConfig.clear_cache()
    caches.close_all()
    yield
    PlatformFeeConfig.clear_cache()
    caches.close_all()


def change(percentage: Decimal) -> None:
    config = PlatformFeeConfig.get_current_config()
    config.fee_percentage = percentage
    config.save()


def chain() -> list[Decimal]:
    """Return the fees in the order in which they came, each following from the one before."""
    changes = list(PlatformFeeChange.objects.order_by("pk"))
    assert [each.old for each in changes[1:]] == [each.new for each in changes[:-1]]
    moments = [each.effective_at for each in changes]
    assert moments == sorted(moments)
    return [changes[0].old, *(each.new for each in changes)] if changes else []


def test_the_first_of_all_is_made_once() -> None:
    """Processes that meet no row make one, and all read 10 %."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM platform_fee_config")

    def read(index: int) -> None:
        assert PlatformFeeConfig.get_current_config().fee_percentage == Decimal(10)

    with processes(PROCESSES, read) as started:
        join(started)
    assert PlatformFeeConfig.objects.count() == 1
    assert chain() == []


def test_first_saves_at_once() -> None:
    """Processes that each save the first row end up with one row and one chain of changes."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM platform_fee_config")

    def save(index: int) -> None:
        PlatformFeeConfig(fee_percentage=Decimal(20 + index)).save()

    with processes(PROCESSES, save) as started:
        join(started)
    fees = chain()
    assert fees[0] == Decimal(10)
    assert sorted(fees[1:]) == [Decimal(20 + index) for index in range(PROCESSES)]
    assert PlatformFeeConfig.objects.get().fee_percentage == fees[-1]


def test_changes_at_once() -> None:
    """Each of many concurrent changes is on record, with the fee that it really replaced."""

    def run(index: int) -> None:
        for number in range(CHANGES):
            change(Decimal(20 + index * CHANGES + number))

    with processes(PROCESSES, run) as started:
        join(started)
    fees = chain()
    assert fees[0] == Decimal(10)
    assert sorted(fees[1:]) == [Decimal(20 + each) for each in range(PROCESSES * CHANGES)]
    assert EventRecord.objects.filter(name="platform_fee.changed").count() == len(fees) - 1
    assert PlatformFeeConfig.get_fee_percentage() == fees[-1]


def test_readers_during_changes(tmp_path: Path) -> None:
    """Nobody reads a fee that never was; once all is committed nobody reads an old one."""
    done = tmp_path / "done"

    def run(index: int) -> None:
        if index == 0:
            for number in range(11, 19):
                change(Decimal(number))
                # Whoever made a change sees it, always.
                assert PlatformFeeConfig.get_fee_percentage() == Decimal(number)
            done.touch()
            return
        while not done.exists():
            fee = PlatformFeeConfig.get_fee_percentage()
            assert fee == int(fee)
            assert Decimal(10) <= fee <= Decimal(18)
            if index == 1:
                # One that keeps the cache empty, so that rows are put back all the time.
                cache.delete("platform_fee_config")
        # At most PLATFORM_FEE_PROCESS_SECONDS later.
        wait_until(lambda: PlatformFeeConfig.get_fee_percentage() == Decimal(18), seconds=1)
        assert PlatformFeeConfig.get_current_config().fee_percentage == Decimal(18)

    with processes(PROCESSES, run) as started:
        join(started)
    PlatformFeeConfig._base_manager.update(fee_percentage=99)
    assert PlatformFeeConfig.get_fee_percentage() == Decimal(18)


def test_a_plan_takes_effect_once() -> None:
    """However many processes apply a due plan or change the fee then, it is announced once."""
    PlatformFeeConfig.plan_change("12.00", timezone.now() + timedelta(hours=1))
    PlatformFeeConfig._base_manager.update(planned_from=timezone.now() - timedelta(seconds=1))

    def run(index: int) -> None:
        if index == 0:
            change(Decimal(15))
        else:
            PlatformFeeConfig.apply_planned_change()

    with processes(PROCESSES, run) as started:
        join(started)
    assert chain() == [Decimal(10), Decimal(12), Decimal(15)]
    assert EventRecord.objects.filter(name="platform_fee.changed").count() == 2


def test_an_open_change_is_invisible(tmp_path: Path) -> None:
    """Until its commit other processes read the old fee; a rollback leaves it to them."""
    is_open = tmp_path / "open"

    def read(index: int) -> None:
        wait_until(is_open.exists)
        assert PlatformFeeConfig.get_fee_percentage() == Decimal(10)
        assert PlatformFeeConfig.get_current_config().fee_percentage == Decimal(10)

    with processes(2, read) as started, transaction.atomic():
        change(Decimal(11))
        is_open.touch()
        join(started)
        transaction.set_rollback(True)
    assert PlatformFeeConfig.get_fee_percentage() == Decimal(10)
