"""The platform fee: one row, exact sums, and who changed it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, connection, transaction

from core import exceptions
from core.events import capture_events, event_context
from core.models import PlatformFeeChange, PlatformFeeConfig

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """No fee is cached before or after a test."""
    cache.clear()
    yield
    cache.clear()


def change(percentage: Any, **fields: Any) -> None:
    config = PlatformFeeConfig.get_current_config()
    config.fee_percentage = percentage
    for name, value in fields.items():
        setattr(config, name, value)
    config.save()


def user(name: str = "boss") -> Any:
    return get_user_model().objects.create(username=name)


def test_the_migration_made_the_row() -> None:
    """After migrating there is a fee of 10 %."""
    assert PlatformFeeConfig.objects.get().pk == 1
    assert str(PlatformFeeConfig.get_fee_percentage()) == "10.00"
    assert str(PlatformFeeConfig.get_fee_decimal()) == "0.10"


def empty_the_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM platform_fee_config")


def test_a_missing_row_is_made() -> None:
    """`get_current_config()` on an empty table stores and returns 10 %, which is no change."""
    empty_the_table()
    with capture_events() as events:
        config = PlatformFeeConfig.get_current_config()
    assert (config.pk, config.fee_percentage) == (1, Decimal("10.00"))
    assert PlatformFeeConfig.objects.count() == 1
    assert (events, PlatformFeeChange.objects.count()) == ([], 0)


def test_a_first_row_of_ones_own() -> None:
    """On an empty table `create()` changes the default of 10 %, and is recorded as that."""
    empty_the_table()
    PlatformFeeConfig.objects.create(fee_percentage=Decimal(7))
    first = PlatformFeeChange.objects.get()
    assert (first.old, first.new) == (Decimal(10), Decimal(7))


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
        ("10.00", "-0.00", 1, "0.00"),
        ("10.00", "0.049999999999999999999999999999999999999999999", 1, "0.00"),
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


def test_the_callers_precision_does_not_matter() -> None:
    """Sums are exact under whatever decimal context the caller has set."""
    with localcontext(prec=2):
        change("12.34")
        assert PlatformFeeConfig.get_fee_decimal() == Decimal("0.1234")
        assert str(PlatformFeeConfig.calculate_final_price("123456.78")) == "138691.35"
        assert str(PlatformFeeConfig.calculate_host_earnings("123456.78", 2)) == "246913.56"


BAD_AMOUNTS = [
    *("-0.01", "much", "NaN", "sNaN", "Infinity", "-inf", "1e30", "", None, True, b"1", [1]),
    *(Decimal("NaN"), Decimal("-0.01"), float("nan"), float("inf"), -1, 1j, 10**9999),
]


@pytest.mark.parametrize("fare", BAD_AMOUNTS, ids=lambda fare: type(fare).__name__)
def test_unusable_amounts(fare: Any) -> None:
    """A negative, unreadable or absurd amount is refused, and the refusal says which it was."""
    calls = [
        PlatformFeeConfig.calculate_platform_fee,
        PlatformFeeConfig.calculate_final_price,
        PlatformFeeConfig.calculate_host_earnings,
    ]
    for calculate in calls:
        with pytest.raises(exceptions.ValidationError, match=r"base_fare must .* not .+") as error:
            calculate(fare)
        assert error.value.details == {"field": "base_fare"}


@pytest.mark.parametrize("quantity", [-1, "1.5", "some", None, Decimal("NaN"), False])
def test_unusable_quantities(quantity: Any) -> None:
    """A quantity is a whole number of at least 0."""
    for calculate in (
        PlatformFeeConfig.calculate_platform_fee,
        PlatformFeeConfig.calculate_host_earnings,
    ):
        with pytest.raises(exceptions.ValidationError, match=r"quantity must .* not .+"):
            calculate("1.00", quantity)


BAD_PERCENTAGES = [
    *("100.01", "-0.01", "10.005", "much", "NaN", "Infinity", "1e999"),
    *(Decimal("100.01"), Decimal("-0.01"), Decimal("10.005"), Decimal("NaN"), Decimal("sNaN")),
    *(10.005, float("nan"), True, None, (0, (1,), 0), 10**9999),
]


@pytest.mark.parametrize("percentage", BAD_PERCENTAGES, ids=lambda value: type(value).__name__)
def test_bad_percentages(percentage: Any) -> None:
    """A percentage outside 0.00 to 100.00 is refused before anything is stored, by its value."""
    config = PlatformFeeConfig.get_current_config()
    config.fee_percentage = percentage
    with capture_events() as events, pytest.raises(DjangoValidationError, match=r"not .+") as error:
        config.save()
    assert set(error.value.message_dict) == {"fee_percentage"}
    assert PlatformFeeConfig.objects.get().fee_percentage == Decimal(10)
    assert (events, PlatformFeeChange.objects.count()) == ([], 0)


@pytest.mark.parametrize("percentage", ["0.00", "100.00", "7", 12.3, 5, Decimal("1E+1")])
def test_good_percentages(percentage: Any) -> None:
    """Both limits are allowed; the value always has two decimals."""
    change(percentage)
    assert str(PlatformFeeConfig.get_fee_percentage()) == f"{Decimal(str(percentage)):.2f}"


def test_one_row_only() -> None:
    """A second configuration takes the place of the first; the database allows no other row."""
    first = PlatformFeeConfig.objects.get()
    PlatformFeeConfig(fee_percentage=Decimal(5)).save()
    PlatformFeeConfig(id=7, fee_percentage=Decimal(6)).save()
    row = PlatformFeeConfig.objects.get()
    assert (row.pk, row.fee_percentage, row.created_at) == (1, Decimal(6), first.created_at)
    with pytest.raises(IntegrityError), transaction.atomic():
        PlatformFeeConfig.objects.create(fee_percentage=Decimal(6))
    with pytest.raises(IntegrityError), transaction.atomic():
        PlatformFeeConfig._base_manager.bulk_create([PlatformFeeConfig(id=2)])
    for values in ({"fee_percentage": 101}, {"planned_percentage": 5}):
        with pytest.raises(IntegrityError), transaction.atomic():
            PlatformFeeConfig._base_manager.update(**values)


def test_it_cannot_be_deleted_or_bypassed() -> None:
    """Deleting is refused, and so is what would go past validation, history and signal."""
    config = PlatformFeeConfig.objects.get()
    refusals = [config.delete, PlatformFeeConfig.objects.all().delete]
    refusals.append(lambda: PlatformFeeConfig.objects.update(fee_percentage=1))
    refusals.append(lambda: PlatformFeeConfig.objects.bulk_update([config], ["fee_percentage"]))
    refusals.append(lambda: PlatformFeeConfig.objects.bulk_create([config]))
    for refused in refusals:
        with pytest.raises(exceptions.BusinessLogicError):
            refused()
    assert PlatformFeeConfig.objects.count() == 1


def test_a_change_is_announced() -> None:
    """Old and new percentage and who changed it; only when it changed."""
    boss = user()
    with capture_events() as events:
        change("12.50", updated_by=boss)
        change("12.50")
        config = PlatformFeeConfig.get_current_config()
        config.fee_percentage = Decimal(99)
        config.save(update_fields=["updated_by"])
        config.save(update_fields=[])
    (event,) = events
    assert (event.name, event.sender) == ("platform_fee.changed", "core.platformfeeconfig")
    assert event.data == {
        "old": Decimal("10.00"),
        "new": Decimal("12.50"),
        "changed_by": str(boss.pk),
        "effective_at": PlatformFeeChange.objects.get().effective_at,
    }


def test_a_change_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log says from what to what, and by whom."""
    boss = user()
    with caplog.at_level("INFO", "core.fee.changes"):
        change("11.00", updated_by=boss)
    assert f"from 10.00 to 11.00 per cent, by user {boss.pk}" in caplog.text


def test_some_fields_are_saved() -> None:
    """A change by `update_fields` stores who made it, too, and when."""
    boss, before = user(), PlatformFeeConfig.objects.get()
    config = PlatformFeeConfig.get_current_config()
    config.fee_percentage = Decimal(11)
    with event_context(actor=boss):
        config.save(update_fields=["fee_percentage"])
    after = PlatformFeeConfig.objects.get()
    assert (after.fee_percentage, after.updated_by) == (Decimal(11), boss)
    assert after.updated_at > before.updated_at


def who_changed() -> list[str]:
    return [each.changed_by for each in PlatformFeeChange.objects.order_by("pk")]


def test_who_changes_it_is_the_actor() -> None:
    """Without `updated_by` it is whoever acts, if that is a user, and else nobody."""
    boss, other = user(), user("other")
    with event_context(actor=boss):
        change("11.00")
    with event_context(actor=boss):
        change("12.00", updated_by=other)
    for nobody in ("cron", "999999999", None):
        with event_context(actor=nobody):
            change("13.00" if nobody == "cron" else f"14.0{len(nobody or '')}")
    assert who_changed() == [str(boss.pk), str(other.pk), "", "", ""]
    assert PlatformFeeConfig.objects.get().updated_by is None


def test_whoever_changed_it_last_is_not_blamed_for_the_next_change() -> None:
    """A value that was loaded with the row says nothing about who changes it now."""
    boss = user()
    change("11.00", updated_by=boss)
    change("12.00")
    config = PlatformFeeConfig.objects.get()
    config.refresh_from_db()
    config.fee_percentage = Decimal(13)
    config.save()
    assert who_changed() == [str(boss.pk), "", ""]


def test_saving_without_a_change_keeps_who_made_the_last_one() -> None:
    """`updated_by` names who changed the fee, not who stored the same again."""
    boss = user()
    change("11.00", updated_by=boss)
    change("11.00")
    assert PlatformFeeConfig.objects.get().updated_by == boss


@pytest.mark.parametrize(
    "who", [999_999, 10**30, "", "x", float("inf"), Decimal("Infinity"), uuid4()]
)
def test_an_unknown_user_is_refused(who: Any) -> None:
    """Who changed it must be somebody."""
    with pytest.raises(DjangoValidationError, match="updated_by"):
        change("11.00", updated_by_id=who)
    assert PlatformFeeConfig.objects.get().fee_percentage == Decimal(10)


def test_whoever_changed_it_may_go() -> None:
    """The fee stays when the user who set it is deleted, and history remembers the key."""
    boss = user()
    key = str(boss.pk)
    change("11.00", updated_by=boss)
    boss.delete()
    assert PlatformFeeConfig.objects.get().updated_by is None
    assert who_changed() == [key]
