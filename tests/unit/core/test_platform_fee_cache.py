"""Reading the fee: at once in the process, otherwise from a cache that is never out of date."""

from __future__ import annotations

import asyncio
import os
import threading
import timeit
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.checks import run_checks
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.fee import cache as fee_cache
from core.fee import memory as fee_memory
from core.fee import reading
from core.fee.memory import Known, memory
from core.models import PlatformFeeConfig
from tests.unit.core.events.support import in_threads, roll_back

pytestmark = pytest.mark.django_db

is_shared = fee_cache.is_shared

# Only tables of these are emptied after each test that commits.
APPS = ["core", "core.events", "django.contrib.auth", "django.contrib.contenttypes"]


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No fee is cached before or after a test; the cache counts as one for many processes."""
    cache.clear()
    monkeypatch.setattr(fee_cache, "is_shared", lambda: True)
    yield
    cache.clear()


def change(percentage: str) -> None:
    config = PlatformFeeConfig.get_current_config()
    config.fee_percentage = Decimal(percentage)
    config.save()


def change_elsewhere(percentage: str, *, told: bool = True) -> None:
    """Do what another process does: this one only sees the row and the shared cache."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE platform_fee_config SET fee_percentage = %s", [percentage])
    if told:
        fee_cache._invalidate()


def cached() -> list[str]:
    return [key for key in fee_cache.KEYS if cache.get(key) is not None]


def known() -> Known:
    return reading.current(PlatformFeeConfig._rows)


def fee() -> Decimal:
    return PlatformFeeConfig.get_fee_percentage()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Let a test decide what time it is for the process: `clock[0]`, in seconds."""
    now = [1000.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    for module in (fee_memory, fee_cache):
        monkeypatch.setattr(module, "time", Time)
    yield now
    fee_cache.begin_anew()


def test_reads_are_cached() -> None:
    """The first read costs one query and fills all three entries; further reads cost none."""
    with CaptureQueriesContext(connection) as queries:
        fee()
    assert len(queries) == 1
    assert cached() == list(fee_cache.KEYS)
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            PlatformFeeConfig.get_fee_decimal()
            PlatformFeeConfig.get_current_config()
            PlatformFeeConfig.calculate_final_price("1.00")
        assert len(queries) == 0
        memory.drop()


def test_the_entries_live_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three entries is stored for 3600 seconds."""
    seconds: dict[str, Any] = {}

    class Spy:
        def __getattr__(self, name: str) -> Any:
            return getattr(cache, name)

        def set(self, key: str, value: Any, timeout: Any) -> None:
            seconds[key] = timeout

        def set_many(self, values: dict[str, Any], timeout: Any) -> None:
            seconds.update(dict.fromkeys(values, timeout))

    monkeypatch.setattr(fee_cache, "cache", Spy())
    fee()
    assert {key: seconds[key] for key in fee_cache.KEYS} == dict.fromkeys(fee_cache.KEYS, 3600)


def test_no_secrets_in_the_cache() -> None:
    """The cached row has the keys of users, not the users, nor a pickled instance."""
    PlatformFeeConfig.warm_cache()
    fields = {"id", "fee_percentage", "created_at", "updated_at", "updated_by_id", "stamp"}
    fields |= {"planned_percentage", "planned_from", "planned_by_id"}
    assert cache.get(fee_cache.CONFIG).keys() == fields
    assert cache.get(fee_cache.PERCENTAGE) == Decimal(10)
    assert cache.get(fee_cache.DECIMAL) == Decimal("0.1")


def test_saving_empties_the_cache() -> None:
    """After a save none of the entries is there, and the next read is new."""
    PlatformFeeConfig.warm_cache()
    assert cached()
    change("11.00")
    assert cached() == []
    assert fee() == Decimal(11)


def test_clearing_asks_the_database() -> None:
    """After `clear_cache()` the next reader sees what is stored, however it got there."""
    assert fee() == Decimal(10)
    change_elsewhere("11.00", told=False)
    assert fee() == Decimal(10)
    PlatformFeeConfig.clear_cache()
    assert fee() == Decimal(11)


@pytest.mark.parametrize("entry", ["garbage", {"fee_percentage": Decimal(99)}, {"stamp": "x"}, 5])
def test_entries_that_cannot_be_used_are_passed_over(entry: Any) -> None:
    """What another version of the code, or anybody, left under the key does no harm."""
    PlatformFeeConfig.warm_cache()
    if isinstance(entry, dict):
        entry = {**entry, "stamp": fee_cache.read()[1]}
    cache.set(fee_cache.CONFIG, entry)
    memory.drop()
    assert fee() == Decimal(10)


class TestMemory:
    """What the process remembers for a moment."""

    def test_a_change_elsewhere_is_seen_in_time(self, clock: list[float], settings: Any) -> None:
        """A read is at most PLATFORM_FEE_PROCESS_SECONDS behind another process's change."""
        settings.PLATFORM_FEE_PROCESS_SECONDS = 5
        assert fee() == Decimal(10)
        change_elsewhere("11.00")
        clock[0] += 4.9
        assert fee() == Decimal(10)
        clock[0] += 0.1
        assert fee() == Decimal(11)

    def test_without_it_each_read_asks_the_cache(self, settings: Any) -> None:
        """PLATFORM_FEE_PROCESS_SECONDS = 0 trades speed for knowing at once."""
        settings.PLATFORM_FEE_PROCESS_SECONDS = 0
        assert fee() == Decimal(10)
        change_elsewhere("11.00")
        assert fee() == Decimal(11)

    def test_age_counts_from_before_the_look_up(self, clock: list[float]) -> None:
        """However long a look-up takes, its result is no older than the setting says."""
        ticket = memory.ticket()
        clock[0] += 1.5
        memory.put(known(), ticket, seconds=60)
        assert memory.get() is None

    def test_a_look_up_that_was_overtaken_is_not_remembered(self) -> None:
        """Whoever read the row before a change cannot put it into the memory after it."""
        ticket, old = memory.ticket(), known()
        change("11.00")
        memory.put(old, ticket, seconds=60)
        assert memory.get() is None

    @pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", None, True])
    def test_a_bad_setting_is_named(self, settings: Any, value: Any) -> None:
        """`manage.py check` refuses what is no number of seconds."""
        settings.PLATFORM_FEE_PROCESS_SECONDS = value
        (found,) = [each for each in run_checks() if each.id == "core.E001"]
        assert f"PLATFORM_FEE_PROCESS_SECONDS is {value!r}" in found.msg

    def test_a_good_setting_passes(self) -> None:
        """The setting of the system is fine."""
        assert not [each for each in run_checks() if each.id == "core.E001"]

    def test_a_warm_price_is_cheap(self, settings: Any) -> None:
        """A price costs at most 5 µs, the best of some tries on a machine that is not idle."""
        settings.PLATFORM_FEE_PROCESS_SECONDS = 60
        fare = Decimal("100.00")
        fee()
        tries = timeit.repeat(
            lambda: PlatformFeeConfig.calculate_final_price(fare), number=1000, repeat=20
        )
        assert min(tries) / 1000 < 5e-6


@pytest.mark.parametrize("backend", ["locmem.LocMemCache", "dummy.DummyCache"])
class TestOwnCache:
    """A cache of the process's own, that no other process can clear."""

    @pytest.fixture(autouse=True)
    def own_cache(self, backend: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Use that kind of cache, and a memory of five seconds."""
        monkeypatch.setattr(fee_cache, "is_shared", is_shared)
        settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{backend}"}}
        settings.PLATFORM_FEE_PROCESS_SECONDS = 5

    def test_a_change_elsewhere_is_seen_in_time(self, clock: list[float]) -> None:
        """Here as well a read is at most PLATFORM_FEE_PROCESS_SECONDS behind."""
        assert fee() == Decimal(10)
        change_elsewhere("11.00", told=False)
        clock[0] += 4.9
        assert fee() == Decimal(10)
        clock[0] += 0.1
        assert fee() == PlatformFeeConfig.get_current_config().fee_percentage == Decimal(11)

    def test_until_then_nobody_asks_the_database(self) -> None:
        """Within that time no read costs a query, that of the whole row included."""
        fee()
        with CaptureQueriesContext(connection) as queries:
            PlatformFeeConfig.get_fee_decimal()
            PlatformFeeConfig.get_current_config()
            PlatformFeeConfig.calculate_final_price("1.00")
        assert len(queries) == 0


def test_a_cache_behind_a_server_is_shared(settings: Any) -> None:
    """Only what is known to be the process's own counts as that."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert is_shared() is False
    redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://x"}
    settings.CACHES = {"default": redis}
    assert is_shared() is True


class TestOvertaken:
    """A reader that was overtaken by a change leaves nothing behind that others believe."""

    def test_whenever_it_puts_it_back(self) -> None:
        """The row is tagged with what the reader knew before it read."""
        PlatformFeeConfig.warm_cache()
        row, stamp = fee_cache.read()
        assert row is not None
        fee_cache.clear()
        fee_cache.fill(row, stamp, percentage=Decimal(10), fraction=Decimal("0.1"))
        assert (fee_cache.read()[0], cached()) == (None, [])

    def test_even_if_it_dies_half_way(self) -> None:
        """A row that was put back by a process that could do no more is not believed."""
        PlatformFeeConfig.warm_cache()
        row, stamp = fee_cache.read()
        change_elsewhere("11.00")
        cache.set(fee_cache.CONFIG, {**(row or {}), "stamp": stamp}, fee_cache.SECONDS)
        memory.drop()
        assert fee() == Decimal(11)

    def test_after_an_emptied_cache(self) -> None:
        """A cache that lost its stamp gets a new one; what was read before is worthless."""
        PlatformFeeConfig.warm_cache()
        row, stamp = fee_cache.read()
        cache.clear()
        assert fee_cache.read()[0] is None
        fee_cache.fill(row or {}, stamp, percentage=Decimal(10), fraction=Decimal("0.1"))
        assert fee_cache.read()[0] is None


class Down:
    """A cache whose server is gone; counts who asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        raise ConnectionError("no cache")


class TestOutage:
    """A cache that is down costs a little time, never an answer."""

    @pytest.fixture
    def down(self, monkeypatch: pytest.MonkeyPatch) -> Down:
        """Let the cache be down."""
        down = Down()
        monkeypatch.setattr(fee_cache, "cache", down)
        return down

    @pytest.mark.usefixtures("down")
    def test_the_database_answers(self) -> None:
        """Reads and changes go on with the database; the durable invalidation says so."""
        assert fee() == Decimal(10)
        change("11.00")
        assert PlatformFeeConfig.get_fee_decimal() == Decimal("0.11")
        assert PlatformFeeConfig.get_current_config().fee_percentage == Decimal(11)
        PlatformFeeConfig.warm_cache()
        with pytest.raises(ConnectionError):
            fee_cache.invalidate()

    def test_it_is_logged_once(
        self, down: Down, clock: list[float], caplog: pytest.LogCaptureFixture
    ) -> None:
        """One warning for the outage, one line at its end; the cache is not asked each time."""
        caplog.set_level("INFO", "core.fee.cache")
        for _ in range(100):
            memory.drop()
            fee()
        assert down.asked == 1
        for _ in range(3):
            clock[0] += 60
            fee()
        assert down.asked == 4
        fee_cache.cache = cache
        for _ in range(3):
            clock[0] += 60
            fee()
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    @pytest.mark.usefixtures("down")
    def test_it_costs_a_query_now_and_then(self) -> None:
        """Also after a change the process remembers for a moment what the database said."""
        change("11.00")
        # As if the change were committed.
        connection.run_on_commit.clear()
        with CaptureQueriesContext(connection) as queries:
            assert {fee() for _ in range(20)} == {Decimal(11)}
        assert len(queries) <= 2

    def test_a_change_during_it_is_made_up_for(
        self, clock: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever could not tell the cache of a change does so before believing it again."""
        PlatformFeeConfig.warm_cache()
        with monkeypatch.context() as outage:
            outage.setattr(fee_cache, "cache", Down())
            change("11.00")
        assert cache.get(fee_cache.PERCENTAGE) == Decimal(10)
        for _ in range(3):
            assert fee() == Decimal(11)
            assert PlatformFeeConfig.get_current_config().fee_percentage == Decimal(11)
            clock[0] += 60
        connection.run_on_commit.clear()
        assert fee() == Decimal(11)
        assert cache.get(fee_cache.PERCENTAGE) == Decimal(11)


@pytest.mark.django_db(transaction=True, available_apps=APPS)
class TestTransactions:
    """What a transaction changes is seen by others after its commit, and not before."""

    @pytest.fixture(autouse=True)
    def row(self) -> None:
        """Other tests of this kind empty the table."""
        PlatformFeeConfig.get_current_config()
        PlatformFeeConfig.clear_cache()
        cache.clear()

    def test_uncommitted_fee_is_not_cached(self) -> None:
        """Inside the transaction that changed it, the new fee is read but not cached."""
        assert fee() == Decimal(10)
        with transaction.atomic():
            change("11.00")
            assert fee() == Decimal(11)
            assert PlatformFeeConfig.get_current_config().fee_percentage == Decimal(11)
            PlatformFeeConfig.warm_cache()
            assert (cached(), memory.get()) == ([], None)
        assert fee() == Decimal(11)
        assert cached() == list(fee_cache.KEYS)

    @pytest.mark.parametrize("in_bulk", [False, True])
    def test_a_user_who_is_gone(self, in_bulk: bool) -> None:
        """When the user who set the fee is deleted, nobody reads from the cache who it was."""
        user = get_user_model().objects.create(username="boss")
        config = PlatformFeeConfig.get_current_config()
        config.fee_percentage, config.updated_by = Decimal("11.00"), user
        config.save()
        PlatformFeeConfig.plan_change("12.00", timezone.now() + timedelta(days=1), by=user)
        assert PlatformFeeConfig.get_current_config().updated_by == user
        if in_bulk:
            get_user_model().objects.all().delete()
        else:
            user.delete()
        config = PlatformFeeConfig.get_current_config()
        assert (config.updated_by, config.planned_by) == (None, None)
        assert config.fee_percentage == Decimal(11)

    def test_rolled_back_change(self) -> None:
        """A change that is rolled back leaves the old fee in force, and it is cached again."""
        assert fee() == Decimal(10)
        roll_back(lambda: (change("11.00"), fee()))
        assert fee() == Decimal(10)
        assert cached() == list(fee_cache.KEYS)

    def test_rolled_back_savepoint(self) -> None:
        """So does a savepoint, within its transaction; an outer change stays in force."""
        with transaction.atomic():
            roll_back(lambda: (change("11.00"), fee()))
            assert fee() == Decimal(10)
            change("12.00")
            roll_back(lambda: (change("13.00"), fee()))
            assert fee() == Decimal(12)
        assert fee() == Decimal(12)

    def test_entries_of_others_go_at_commit(self) -> None:
        """What another reader cached before the commit is removed by it."""
        row, _ = fee_cache.read()
        with transaction.atomic():
            change("11.00")
            _, stamp = fee_cache.read()
            fee_cache.fill(row or {}, stamp, percentage=Decimal(10), fraction=Decimal("0.1"))
        assert cached() == []

    def test_earlier_hooks_see_the_new_fee(self) -> None:
        """From the commit on the process knows the new fee, before its own hook has run."""
        seen = []
        assert fee() == Decimal(10)
        with transaction.atomic():
            transaction.on_commit(lambda: seen.append(fee()))
            change("11.00")
        assert seen == [Decimal(11)]

    def test_threads_see_only_what_is_committed(self) -> None:
        """An open change of one thread is not another's, and afterwards it is everybody's."""
        seen: list[Decimal] = []
        with transaction.atomic():
            if connection.vendor == "postgresql":
                change("11.00")
                in_threads(3, lambda index: seen.append(fee()))
            assert set(seen) <= {Decimal(10)}
        change("12.00")
        seen.clear()
        in_threads(3, lambda index: seen.append(fee()))
        assert seen == [Decimal(12)] * 3

    @pytest.mark.postgres
    def test_an_old_snapshot_is_not_cached(self) -> None:
        """A transaction that sees the past reads it, and leaves it in no cache."""
        fee_cache.clear()
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT 1 FROM platform_fee_config")
            in_threads(1, lambda index: change("11.00"))
            assert fee() == Decimal(10)
            assert (cached(), memory.get()) == ([], None)
        assert fee() == Decimal(11)

    def test_in_an_event_loop(self) -> None:
        """Reading works there, cold and warm, and so does an asynchronous save."""

        async def read_and_change() -> list[Decimal]:
            before = fee()
            config = PlatformFeeConfig.get_current_config()
            config.fee_percentage = Decimal(11)
            await config.asave()
            await sync_to_async(connections.close_all)()
            after = await asyncio.gather(*(asyncio.to_thread(_fee_in_thread) for _ in range(3)))
            return [before, fee(), PlatformFeeConfig.get_fee_percentage(), *after]

        PlatformFeeConfig.clear_cache()
        connections.close_all()
        assert asyncio.run(read_and_change()) == [Decimal(10)] + [Decimal(11)] * 5

    def test_after_a_fork(self) -> None:
        """A child forgets what its parent knew, and reads for itself."""
        assert fee() == Decimal(10)
        assert _in_a_child(lambda: memory.get() is None)
        assert memory.get() is not None

    def test_no_lost_reader_under_threads(self) -> None:
        """While one thread changes the fee others read; at the end all know the last one."""
        done = threading.Event()
        wrong: list[Decimal] = []

        def run(index: int) -> None:
            if index == 0:
                for number in range(11, 15):
                    change(f"{number}.00")
                    if fee() != number:
                        wrong.append(fee())
                done.set()
            else:
                before = Decimal(10)
                while not done.is_set():
                    if (now := fee()) < before:
                        wrong.append(now)
                    before = now

        in_threads(3, run)
        assert (wrong, fee()) == ([], Decimal(14))


def _fee_in_thread() -> Decimal:
    try:
        return fee()
    finally:
        connections.close_all()


def _in_a_child(check: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    return os.waitpid(child, 0)[1] == 0
