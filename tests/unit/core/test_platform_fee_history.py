"""What the fee was, who changed it and when; and what it is planned to be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_zone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.management import call_command
from django.db import InternalError, ProgrammingError, connection, transaction
from django.utils import timezone

from core.events import capture_events, event_context
from core.exceptions import BusinessLogicError, ValidationError
from core.fee import cache as fee_cache
from core.fee import reading as fee_reading
from core.models import PlatformFeeChange, PlatformFeeConfig
from core.tasks import apply_planned_change
from tests.unit.core.events.support import roll_back

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
# Neither is a moment in UTC.
TOO_LATE = datetime.max.replace(tzinfo=fixed_zone(-HOUR))
TOO_EARLY = datetime.min.replace(tzinfo=fixed_zone(HOUR))


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """No fee is cached before or after a test."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def boss() -> Any:
    """A user who changes fees."""
    return get_user_model().objects.create(username="boss")


def change(percentage: str, **fields: Any) -> None:
    config = PlatformFeeConfig.get_current_config()
    config.fee_percentage = Decimal(percentage)
    for name, value in fields.items():
        setattr(config, name, value)
    config.save()


def history() -> list[tuple[Decimal, Decimal, str]]:
    changes = PlatformFeeChange.objects.order_by("effective_at", "pk")
    return [(each.old, each.new, each.changed_by) for each in changes]


def fee(at: datetime | None = None) -> Decimal:
    return PlatformFeeConfig.get_fee_percentage(at=at)


def recorded(*steps: tuple[str, str, timedelta]) -> datetime:
    """Write the history of changes so long ago; return the time that they count from."""
    now = timezone.now()
    for old, new, ago in steps:
        PlatformFeeChange.objects.append(
            old=Decimal(old), new=Decimal(new), changed_by="", effective_at=now - ago
        )
    return now


class TestHistory:
    """Every change is on record, and nothing on record changes."""

    def test_who_when_old_and_new(self, boss: Any) -> None:
        """A change leaves one row; saving the same again, or something else, leaves none."""
        before = timezone.now() - timedelta(seconds=1)
        change("12.00", updated_by=boss)
        change("12.00")
        change("13.50")
        who = str(boss.pk)
        assert history() == [(Decimal(10), Decimal(12), who), (Decimal(12), Decimal("13.5"), "")]
        first, second = PlatformFeeChange.objects.order_by("pk")
        assert before < first.effective_at <= second.effective_at
        assert second.effective_at <= timezone.now() + timedelta(seconds=1)
        assert str(first) == "10.00 % to 12.00 %"

    def test_it_shares_the_fate_of_the_change(self) -> None:
        """A change that is rolled back is on no record."""
        roll_back(lambda: change("12.00"))
        assert (history(), fee()) == ([], Decimal(10))

    def test_it_is_append_only(self) -> None:
        """No row can be changed or deleted, by instance or queryset."""
        change("12.00")
        row = PlatformFeeChange.objects.get()
        rows = PlatformFeeChange.objects.all()
        refusals = [row.save, row.delete, rows.delete, lambda: rows.update(new=1)]
        refusals.append(lambda: rows.bulk_update([row], ["new"]))
        refusals.append(lambda: rows.bulk_create([row]))
        refusals.append(lambda: PlatformFeeChange._base_manager.update(new=1))
        for refused in refusals:
            with pytest.raises(BusinessLogicError, match="append-only"):
                refused()
        assert history() == [(Decimal(10), Decimal(12), "")]

    @pytest.mark.postgres
    @pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET new = 1"])
    def test_the_database_refuses_too(self, statement: str) -> None:
        """Not even SQL changes the record."""
        change("12.00")
        refused = pytest.raises((InternalError, ProgrammingError), match="append-only")
        with refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement.format("platform_fee_change"))

    def test_it_moves_to_another_database(self, tmp_path: Path) -> None:
        """What `dumpdata` wrote, `loaddata` puts into an empty table."""
        change("12.00")
        change("13.00")
        before, dump = history(), str(tmp_path / "fee.json")
        call_command("dumpdata", "core", output=dump)
        with connection.cursor() as cursor:
            empty = "TRUNCATE" if connection.vendor == "postgresql" else "DELETE FROM"
            cursor.execute(f"{empty} platform_fee_change")
        call_command("loaddata", dump, verbosity=0)
        assert history() == before

    def test_a_clock_that_was_set_back(self) -> None:
        """A change is never effective before the one that it follows."""
        now = recorded(("10.00", "11.00", -HOUR))
        change("12.00")
        last = PlatformFeeChange.objects.order_by("pk").last()
        assert last is not None
        assert last.effective_at == now + HOUR
        assert fee(now + HOUR) == Decimal(12)


class TestAt:
    """The fee at a time, for sums that are made later."""

    def test_a_time_in_the_past(self) -> None:
        """From its moment on, that included, a change is in force until the next one."""
        now = recorded(("10.00", "11.00", 3 * HOUR), ("11.00", "12.34", 2 * HOUR))
        assert fee(now - 2 * HOUR) == Decimal("12.34")
        assert fee(now - 2 * HOUR - timedelta(microseconds=1)) == Decimal(11)
        assert fee(now - 3 * HOUR) == Decimal(11)

    def test_before_the_first_change_on_record(self) -> None:
        """What the first change replaced was in force before it, as far as anybody knows."""
        now = recorded(("7.00", "11.00", 3 * HOUR))
        assert fee(now - 4 * HOUR) == Decimal(7)
        assert fee(datetime(1970, 1, 1, tzinfo=UTC)) == Decimal(7)

    def test_without_a_record(self) -> None:
        """A fee that never changed has always been that."""
        assert fee(timezone.now() - HOUR) == fee(timezone.now() + HOUR) == Decimal(10)

    def test_other_time_zones(self) -> None:
        """A moment is the same moment in every time zone."""
        now = recorded(("10.00", "11.00", HOUR))
        zone = timezone.get_fixed_timezone(9 * 60)
        assert fee((now - HOUR).astimezone(zone)) == Decimal(11)

    def test_all_sums(self) -> None:
        """Every sum that has to do with the fee takes `at`."""
        now = recorded(("20.00", "10.00", HOUR))
        then = now - 2 * HOUR
        assert PlatformFeeConfig.get_fee_decimal(at=then) == Decimal("0.2")
        assert PlatformFeeConfig.calculate_platform_fee("100", 5, at=then) == Decimal(100)
        assert PlatformFeeConfig.calculate_final_price("100", at=then) == Decimal(120)

    def test_its_cost(self, django_assert_num_queries: Any) -> None:
        """It asks the database, with two queries; with three where no change was made before."""
        now = recorded(("10.00", "11.00", HOUR))
        with django_assert_num_queries(2):
            fee(now)
        with django_assert_num_queries(3):
            fee(now - 2 * HOUR)

    @pytest.mark.parametrize(
        "at", [datetime(2026, 1, 1), "2026-01-01", 0, datetime.now().date(), TOO_LATE, TOO_EARLY]
    )
    def test_unusable_times(self, at: Any) -> None:
        """A time without a time zone, or of another type, is refused by name and value."""
        with pytest.raises(ValidationError, match=r"at must be .* not .+") as error:
            fee(at)
        assert error.value.details == {"field": "at"}


def let_the_time_come(monkeypatch: pytest.MonkeyPatch | None = None) -> datetime:
    """Let the planned change have been due for a minute."""
    start = timezone.now() - timedelta(minutes=1)
    PlatformFeeConfig._base_manager.update(planned_from=start)
    fee_cache.clear()
    return start


class TestPlan:
    """A change that is known ahead becomes current by itself."""

    def test_it_is_in_force_from_its_moment_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No reader needs to be told, whatever it has in memory or in the cache."""
        start = timezone.now() + HOUR
        PlatformFeeConfig.plan_change("12.00", start)
        assert fee() == Decimal(10)
        assert fee(start - timedelta(microseconds=1)) == Decimal(10)
        assert fee(start) == fee(start + HOUR) == Decimal(12)
        connection.run_on_commit.clear()
        assert fee() == Decimal(10)
        monkeypatch.setattr(fee_reading, "timezone", At(start))
        fee_cache.memory.drop()
        assert fee() == Decimal(12)
        config = PlatformFeeConfig.get_current_config()
        assert (config.fee_percentage, config.planned_from) == (Decimal(12), None)

    def test_memory_ends_with_the_plan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the process remembers is good until the plan begins, and not longer."""
        start = timezone.now() + HOUR
        PlatformFeeConfig.plan_change("12.00", start)
        connection.run_on_commit.clear()
        monkeypatch.setattr(fee_reading, "timezone", At(start - timedelta(seconds=0.000001)))
        assert fee() == Decimal(10)
        held = fee_cache.memory._held
        assert held is not None
        assert held.until - fee_cache.memory.ticket().began < 0.001

    def test_numbers_in_the_cache_end_with_the_plan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The entries for others to look at are not there for longer than they are true."""
        start = timezone.now() + HOUR
        PlatformFeeConfig.plan_change("12.00", start)
        connection.run_on_commit.clear()
        monkeypatch.setattr(fee_reading, "timezone", At(start - timedelta(milliseconds=500)))
        assert fee() == Decimal(10)
        assert cache.get(fee_cache.PERCENTAGE) is None
        assert cache.get(fee_cache.CONFIG) is not None

    def test_it_is_applied_and_announced_once(self, boss: Any) -> None:
        """When it takes effect there is one event and one row, effective when it was planned."""
        PlatformFeeConfig.plan_change("12.00", timezone.now() + HOUR, by=boss)
        with capture_events() as events:
            assert apply_planned_change() is False
            start = let_the_time_come()
            assert [apply_planned_change() for _ in range(3)] == [True, False, False]
        (event,) = events
        assert (event.name, event.actor_id) == ("platform_fee.changed", str(boss.pk))
        assert event.data == {
            "old": Decimal(10),
            "new": Decimal(12),
            "changed_by": str(boss.pk),
            "effective_at": start,
        }
        row = PlatformFeeConfig.objects.get()
        assert (row.fee_percentage, row.updated_by) == (Decimal(12), boss)
        assert (row.planned_percentage, row.planned_from, row.planned_by) == (None, None, None)
        assert history() == [(Decimal(10), Decimal(12), str(boss.pk))]
        assert fee(start) == Decimal(12)
        assert fee(start - timedelta(microseconds=1)) == Decimal(10)

    def test_a_change_after_it_finds_it_applied(self) -> None:
        """A change made after a plan's moment, but before the task, comes after it on record."""
        PlatformFeeConfig.plan_change("12.00", timezone.now() + HOUR)
        start = let_the_time_come()
        with capture_events() as events:
            change("15.00")
        changes = [(each.data["old"], each.data["new"]) for each in events]
        assert changes == [(Decimal(10), Decimal(12)), (Decimal(12), Decimal(15))]
        assert (fee(start), fee()) == (Decimal(12), Decimal(15))
        assert apply_planned_change() is False

    def test_a_change_before_it_leaves_it_standing(self) -> None:
        """The plan replaces whatever is in force at its moment."""
        start = timezone.now() + HOUR
        stale = PlatformFeeConfig.get_current_config()
        PlatformFeeConfig.plan_change("12.00", start)
        stale.fee_percentage = Decimal(11)
        stale.save()
        assert (fee(), fee(start)) == (Decimal(11), Decimal(12))
        let_the_time_come()
        apply_planned_change()
        assert [(old, new) for old, new, _ in history()] == [
            (Decimal(10), Decimal(11)),
            (Decimal(11), Decimal(12)),
        ]

    def test_an_instance_from_before_does_not_bring_it_back(self) -> None:
        """A plan that took effect is not planned again by saving what was loaded earlier."""
        PlatformFeeConfig.plan_change("12.00", timezone.now() + HOUR)
        stale = PlatformFeeConfig.objects.get()
        let_the_time_come()
        apply_planned_change()
        stale.fee_percentage = Decimal(15)
        stale.save()
        assert apply_planned_change() is False
        assert fee() == Decimal(15)

    def test_it_is_not_planned_by_saving(self) -> None:
        """A plan set on an instance is refused, not passed over in silence."""
        config = PlatformFeeConfig.objects.get()
        config.planned_percentage, config.planned_from = Decimal(12), timezone.now() + HOUR
        for fields in (None, ["planned_percentage", "planned_from"]):
            with pytest.raises(BusinessLogicError, match="plan_change"):
                config.save(update_fields=fields)
        config.refresh_from_db()
        config.save()
        assert PlatformFeeConfig.objects.get().planned_from is None

    def test_a_plan_for_the_same_fee(self) -> None:
        """It takes effect without an event, since nothing changed."""
        PlatformFeeConfig.plan_change("10.00", timezone.now() + HOUR)
        let_the_time_come()
        with capture_events() as events:
            assert apply_planned_change() is True
        assert (events, history()) == ([], [])

    def test_it_may_be_cancelled(self) -> None:
        """Before its moment; after it there is nothing to cancel."""
        start = timezone.now() + HOUR
        PlatformFeeConfig.plan_change("12.00", start)
        assert PlatformFeeConfig.cancel_planned_change() is True
        assert PlatformFeeConfig.cancel_planned_change() is False
        assert fee(start) == Decimal(10)
        PlatformFeeConfig.plan_change("12.00", start)
        let_the_time_come()
        assert PlatformFeeConfig.cancel_planned_change() is False
        assert fee() == Decimal(12)

    def test_planning_is_announced_and_logged(
        self, boss: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Who planned what, and who cancelled it; a plan that is there already is no news."""
        caplog.set_level("INFO", "core.fee.changes")
        start = timezone.now() + HOUR
        with capture_events() as events, event_context(actor=boss):
            PlatformFeeConfig.plan_change("12.00", start)
            PlatformFeeConfig.plan_change("12.00", start)
            PlatformFeeConfig.plan_change("13.00", start)
            PlatformFeeConfig.cancel_planned_change()
        assert [event.name for event in events] == ["platform_fee.planned"] * 3
        assert [event.data["changes"] for event in events] == [
            {"planned_percentage": [None, Decimal(12)], "planned_from": [None, start]},
            {"planned_percentage": [Decimal(12), Decimal(13)], "planned_from": [start, start]},
            {"planned_percentage": [Decimal(13), None], "planned_from": [start, None]},
        ]
        assert {event.data["changed_by"] for event in events} == {str(boss.pk)}
        assert [record.getMessage().partition(" by")[0] for record in caplog.records] == [
            f"the platform fee is planned to be 12.00 per cent from {start.isoformat()} on,",
            f"the platform fee is planned to be 13.00 per cent from {start.isoformat()} on,",
            "the planned change of the platform fee was cancelled,",
        ]

    def test_a_rolled_back_plan_is_none(self) -> None:
        """What was not committed is not planned."""
        start = timezone.now() + HOUR
        roll_back(lambda: PlatformFeeConfig.plan_change("12.00", start))
        assert fee(start) == Decimal(10)

    @pytest.mark.parametrize("percentage", ["100.01", "-0.01", "10.005", "NaN", None, True])
    def test_unusable_percentages(self, percentage: Any) -> None:
        """What cannot be a fee cannot be planned."""
        with pytest.raises(DjangoValidationError, match=r"not .+"):
            PlatformFeeConfig.plan_change(percentage, timezone.now() + HOUR)
        assert PlatformFeeConfig.objects.get().planned_from is None

    @pytest.mark.parametrize(
        "start",
        [datetime(2099, 1, 1), "2099-01-01", None, datetime(2020, 1, 1, tzinfo=UTC), TOO_LATE],
    )
    def test_unusable_moments(self, start: Any) -> None:
        """A plan needs a moment in the future, with a time zone."""
        with pytest.raises(ValidationError, match=r"effective_from must be .* not .+"):
            PlatformFeeConfig.plan_change("12.00", start)
        assert PlatformFeeConfig.objects.get().planned_from is None

    @pytest.mark.parametrize("by", [999_999, "nobody", object()], ids=["key", "text", "object"])
    def test_unknown_users(self, by: Any) -> None:
        """Who plans must be a user."""
        self.assert_nobody(by)

    def test_what_is_a_user_by_chance(self) -> None:
        """Neither is a row of another model with a user's key, nor a number that is none."""
        someone = get_user_model().objects.create(pk=1, username="someone")
        for by in (Group.objects.create(pk=someone.pk, name="group"), True, 1.5):
            self.assert_nobody(by)

    def assert_nobody(self, by: Any) -> None:
        for call in (
            lambda: PlatformFeeConfig.plan_change("12.00", timezone.now() + HOUR, by=by),
            lambda: PlatformFeeConfig.cancel_planned_change(by=by),
        ):
            with pytest.raises(ValidationError, match="by must be a user who exists, not"):
                call()


class At:
    """A clock that stands still."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now
