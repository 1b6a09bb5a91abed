"""The platform fee: one row, exact sums, a cache that is never older than the last change."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from core import exceptions, fee_cache
from core.events import capture_events
from core.models import PlatformFeeConfig

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """No fee is cached before or after a test."""
    cache.clear()
    yield
    cache.clear()


def change(percentage: str, **fields: Any) -> None:
    config = PlatformFeeConfig.get_current_config()
    config.fee_percentage = Decimal(percentage)
    for name, value in fields.items():
        setattr(config, name, value)
    config.save()


def cached() -> list[str]:
    return [key for key in fee_cache.KEYS if cache.get(key) is not None]


def test_the_migration_made_the_row() -> None:
    """After migrating there is a fee of 10 %."""
    assert PlatformFeeConfig.objects.get().pk == 1
    assert str(PlatformFeeConfig.get_fee_percentage()) == "10.00"
    assert PlatformFeeConfig.get_fee_decimal() == Decimal("0.10")


def test_a_missing_row_is_made() -> None:
    """`get_current_config()` on an empty table stores and returns 10 %."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM platform_fee_config")
    config = PlatformFeeConfig.get_current_config()
    assert (config.pk, config.fee_percentage) == (1, Decimal("10.00"))
    assert PlatformFeeConfig.objects.count() == 1


def test_sums() -> None:
    """Fee, price and earnings are Decimals, exact to the cent."""
    fare = Decimal("100.00")
    assert PlatformFeeConfig.calculate_platform_fee(base_fare=fare, quantity=5) == Decimal("50.00")
    assert PlatformFeeConfig.calculate_final_price(base_fare=fare) == Decimal("110.00")
    assert PlatformFeeConfig.calculate_host_earnings(fare, 5) == Decimal("500.00")
    assert PlatformFeeConfig.calculate_host_earnings(fare) == fare


@pytest.mark.parametrize(
    ("percentage", "fare", "quantity", "fee"),
    [
        ("10.00", "0.05", 1, "0.01"),
        ("10.00", "0.04", 1, "0.00"),
        ("12.34", "1.00", 3, "0.37"),
        ("0.00", "100.00", 9, "0.00"),
        ("100.00", "0.01", 1, "0.01"),
        ("10.00", 19.99, "2", "4.00"),
        ("10.00", "100.00", 0, "0.00"),
        ("12.34", "99999999999999999999.99", 1000, "12339999999999999999998.77"),
    ],
)
def test_rounding(percentage: str, fare: Any, quantity: Any, fee: str) -> None:
    """The total is rounded, once, half up; ints, floats and strings are taken as they print."""
    change(percentage)
    result = PlatformFeeConfig.calculate_platform_fee(fare, quantity)
    assert isinstance(result, Decimal)
    assert str(result) == fee


def test_fraction_is_not_rounded() -> None:
    """12.34 % is 0.1234."""
    change("12.34")
    assert PlatformFeeConfig.get_fee_decimal() == Decimal("0.1234")


@pytest.mark.parametrize("fare", ["-0.01", "much", "NaN", "Infinity", "1e30", None])
def test_unusable_amounts(fare: Any) -> None:
    """A negative, unreadable or absurd amount is refused by name."""
    for calculate in (
        PlatformFeeConfig.calculate_platform_fee,
        PlatformFeeConfig.calculate_final_price,
        PlatformFeeConfig.calculate_host_earnings,
    ):
        with pytest.raises(exceptions.ValidationError, match="base_fare"):
            calculate(fare)


@pytest.mark.parametrize("quantity", [-1, "1.5", "some"])
def test_unusable_quantities(quantity: Any) -> None:
    """A quantity is a whole number of at least 0."""
    with pytest.raises(exceptions.ValidationError, match="quantity"):
        PlatformFeeConfig.calculate_platform_fee("1.00", quantity)


@pytest.mark.parametrize("percentage", ["100.01", "-0.01", "10.005", "much"])
def test_bad_percentages(percentage: str) -> None:
    """A percentage outside 0.00 to 100.00 is refused before anything is stored."""
    config = PlatformFeeConfig.get_current_config()
    config.fee_percentage = percentage  # type: ignore[assignment]
    with pytest.raises(DjangoValidationError):
        config.save()
    assert PlatformFeeConfig.objects.get().fee_percentage == Decimal(10)


@pytest.mark.parametrize("percentage", ["0.00", "100.00", "7"])
def test_good_percentages(percentage: str) -> None:
    """Both limits are allowed; the value always has two decimals."""
    change(percentage)
    assert str(PlatformFeeConfig.get_fee_percentage()) == f"{Decimal(percentage):.2f}"


def test_one_row_only() -> None:
    """A second configuration takes the place of the first; the database allows no other row."""
    first = PlatformFeeConfig.objects.get()
    PlatformFeeConfig(fee_percentage=Decimal(5)).save()
    row = PlatformFeeConfig.objects.get()
    assert (row.pk, row.fee_percentage, row.created_at) == (1, Decimal(5), first.created_at)
    with pytest.raises(IntegrityError), transaction.atomic():
        PlatformFeeConfig.objects.create(fee_percentage=Decimal(6))
    with pytest.raises(IntegrityError), transaction.atomic():
        PlatformFeeConfig.objects.bulk_create([PlatformFeeConfig(id=2)])
    with pytest.raises(IntegrityError), transaction.atomic():
        PlatformFeeConfig._base_manager.update(fee_percentage=101)


def test_it_cannot_be_deleted_or_bypassed() -> None:
    """Deleting is refused, and so is an update that would go past the signal."""
    config = PlatformFeeConfig.objects.get()
    refusals = [config.delete, PlatformFeeConfig.objects.all().delete]
    refusals.append(lambda: PlatformFeeConfig.objects.update(fee_percentage=1))
    for refused in refusals:
        with pytest.raises(exceptions.BusinessLogicError):
            refused()
    assert PlatformFeeConfig.objects.count() == 1


def test_a_change_is_announced() -> None:
    """Old and new percentage and who changed it; only when it changed."""
    user = get_user_model().objects.create(username="boss")
    with capture_events() as events:
        change("12.50", updated_by=user)
        change("12.50")
        config = PlatformFeeConfig.get_current_config()
        config.fee_percentage = Decimal(99)
        config.save(update_fields=["updated_by"])
    (event,) = events
    assert (event.name, event.sender) == ("platform_fee.changed", "core.platformfeeconfig")
    assert event.data == {
        "old": Decimal("10.00"),
        "new": Decimal("12.50"),
        "changed_by": str(user.pk),
    }


def test_a_change_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log says from what to what, and by whom."""
    with caplog.at_level("INFO", "core.models"):
        change("11.00")
    assert "from 10.00 to 11.00" in caplog.text


def test_whoever_changed_it_may_go() -> None:
    """The fee stays when the user who set it is deleted."""
    user = get_user_model().objects.create(username="boss")
    change("11.00", updated_by=user)
    user.delete()
    assert PlatformFeeConfig.objects.get().updated_by is None


def test_reads_are_cached() -> None:
    """The first read costs one query and fills all three entries; further reads cost none."""
    with CaptureQueriesContext(connection) as queries:
        PlatformFeeConfig.get_fee_percentage()
    assert len(queries) == 1
    assert cached() == list(fee_cache.KEYS)
    with CaptureQueriesContext(connection) as queries:
        PlatformFeeConfig.get_fee_decimal()
        PlatformFeeConfig.get_current_config()
        PlatformFeeConfig.calculate_final_price("1.00")
    assert len(queries) == 0


def test_no_secrets_in_the_cache() -> None:
    """The cached row has the key of who changed it, not the user, nor a pickled instance."""
    PlatformFeeConfig.warm_cache()
    fields = {"id", "fee_percentage", "created_at", "updated_at", "updated_by_id"}
    assert cache.get(fee_cache.CONFIG).keys() == fields


def test_saving_empties_the_cache() -> None:
    """After a save none of the entries is there, and the next read is new."""
    PlatformFeeConfig.warm_cache()
    assert cached()
    change("11.00")
    assert cached() == []
    assert PlatformFeeConfig.get_fee_percentage() == Decimal(11)


def test_a_reader_that_was_overtaken_leaves_nothing_behind() -> None:
    """A value read before a change is not cached after it."""
    stamp = fee_cache.stamp()
    fee_cache.clear()
    fee_cache.fill({fee_cache.PERCENTAGE: Decimal(10)}, stamp)
    assert cached() == []


class Down:
    """A cache whose server is gone."""

    def __getattr__(self, name: str) -> Any:
        raise ConnectionError("no cache")


def test_without_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the cache down, reads and changes go on with the database; invalidation says so."""
    monkeypatch.setattr(fee_cache, "cache", Down())
    assert PlatformFeeConfig.get_fee_percentage() == Decimal(10)
    change("11.00")
    assert PlatformFeeConfig.get_fee_decimal() == Decimal("0.11")
    with pytest.raises(ConnectionError):
        fee_cache.invalidate()


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    """What a transaction changes is seen by others after its commit, and not before."""

    @pytest.fixture(autouse=True)
    def row(self) -> None:
        """Other tests of this kind empty the table."""
        PlatformFeeConfig.get_current_config()
        cache.clear()

    def test_uncommitted_fee_is_not_cached(self) -> None:
        """Inside the transaction that changed it, the new fee is read but not cached."""
        with transaction.atomic():
            change("11.00")
            assert PlatformFeeConfig.get_fee_percentage() == Decimal(11)
            assert cached() == []
        assert PlatformFeeConfig.get_fee_percentage() == Decimal(11)
        assert cached() == list(fee_cache.KEYS)

    def test_rolled_back_change(self) -> None:
        """A change that is rolled back leaves the old fee in force, and it is cached again."""
        with transaction.atomic():
            with transaction.atomic():
                change("11.00")
                transaction.set_rollback(True)
            assert PlatformFeeConfig.get_fee_percentage() == Decimal(10)
            assert cached() == list(fee_cache.KEYS)

    def test_entries_of_others_go_at_commit(self) -> None:
        """What another reader cached before the commit is removed by it."""
        with transaction.atomic():
            change("11.00")
            fee_cache.fill({fee_cache.PERCENTAGE: Decimal(10)}, fee_cache.stamp())
        assert cached() == []
