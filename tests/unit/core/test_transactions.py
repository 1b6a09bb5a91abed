"""TransactionManager, sync and under asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import OperationalError, connection, connections, transaction
from django.utils.connection import ConnectionDoesNotExist

from core.events import EventSignal
from core.events.models import EventRecord
from core.repositories import AsyncRepository
from core.transactions import Session, TransactionManager
from tests.sample.models import Account

pytestmark = pytest.mark.django_db
with_real_commits = pytest.mark.django_db(
    transaction=True, available_apps=["core.events", "tests.sample"]
)

happened = EventSignal("sample.happened_in_a_transaction")


class Failure(Exception):
    """What goes wrong in these tests."""


def names() -> list[str]:
    return sorted(Account.objects.values_list("name", flat=True))


def add(name: str) -> Awaitable[Account]:
    return Account.objects.acreate(name=name)


def add_and_fail(name: str) -> None:
    Account.objects.create(name=name)
    raise Failure


async def add_in_block(name: str, *, fail: bool) -> None:
    async with TransactionManager():
        await add(name)
        if fail:
            raise Failure


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run the coroutine on the connection of the test, in which blocks are savepoints."""

    async def main() -> Any:
        return await asyncio.wait_for(work(), 10)

    return async_to_sync(main)()


def serve(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run in an event loop of its own, on a connection of its own, as a server would."""

    async def main() -> Any:
        try:
            return await asyncio.wait_for(work(), 10)
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(main())


def depth() -> int:
    """Return how many savepoints are open."""
    return len(connection.savepoint_ids)


class TestSync:
    def test_it_commits_at_the_end(self) -> None:
        """What is written in the block is there afterwards; the session names the database."""
        with TransactionManager() as tx:
            Account.objects.create(name="a")
            assert tx.session == Session(using="default")
        assert names() == ["a"]

    def test_an_exception_undoes_it_and_goes_on(self) -> None:
        """Any exception rolls back everything."""
        with pytest.raises(Failure), TransactionManager():
            add_and_fail("a")
        assert names() == []

    def test_blocks_within_are_savepoints(self) -> None:
        """An inner failure undoes the inner block only, also with one manager for both."""
        manager = TransactionManager()
        with manager:
            Account.objects.create(name="outer")
            with pytest.raises(Failure), manager:
                add_and_fail("inner")
            with manager:
                Account.objects.create(name="kept")
        assert names() == ["kept", "outer"]

    @with_real_commits
    def test_events_wait_for_the_outermost_commit(self) -> None:
        """What is to be done after a commit is done once, after the outermost one."""
        done: list[str] = []
        with TransactionManager():
            with TransactionManager():
                transaction.on_commit(lambda: done.append("inner"))
                happened.send(sender=None)
            assert done == []
        assert done == ["inner"]
        assert EventRecord.objects.filter(name=happened.name).count() == 1

    @pytest.mark.parametrize(
        ("using", "kind"),
        [("elsewhere", ConnectionDoesNotExist), (None, TypeError), (7, TypeError)],
    )
    def test_an_unknown_database_is_refused(self, using: Any, kind: type[Exception]) -> None:
        """The alias must be one of the settings."""
        with pytest.raises(kind, match=r"elsewhere|alias"):
            TransactionManager(using)


class TestAsync:
    def test_a_transfer_is_all_or_nothing(self) -> None:
        """Helpers take part by the session; an exception undoes what all of them did."""
        accounts = {name: Account.objects.create(name=name, balance=10) for name in ("a", "b")}

        async def move(name: str, amount: int, session: Session) -> None:
            repository = AsyncRepository(Account, session=session)
            account = await repository.get_by_id(accounts[name].pk)
            assert account is not None
            if account.balance + amount < 0:
                raise Failure
            await repository.update(account.pk, {"balance": account.balance + amount})

        async def transfer_funds(amount: int) -> None:
            async with TransactionManager() as tx:
                await move("b", amount, session=tx.session)
                await move("a", -amount, session=tx.session)

        run(lambda: transfer_funds(7))
        with pytest.raises(Failure):
            run(lambda: transfer_funds(7))
        assert dict(Account.objects.values_list("name", "balance")) == {"a": 3, "b": 17}

    def test_blocks_within_are_savepoints(self) -> None:
        """An inner failure undoes the inner block only."""

        async def work() -> None:
            async with TransactionManager():
                await add("outer")
                with pytest.raises(Failure):
                    await add_in_block("inner", fail=True)
                await add_in_block("kept", fail=False)

        run(work)
        assert names() == ["kept", "outer"]

    @with_real_commits
    def test_events_wait_for_the_outermost_commit(self) -> None:
        """What is to be done after a commit is done after the outermost one, or never."""
        done: list[str] = []

        async def work(fail: bool) -> None:
            async with TransactionManager():
                async with TransactionManager():
                    await happened.asend(sender=None)
                    await sync_to_async(transaction.on_commit)(lambda: done.append("done"))
                assert done == []
                if fail:
                    raise Failure

        with pytest.raises(Failure):
            serve(lambda: work(fail=True))
        assert done == []
        serve(lambda: work(fail=False))
        assert done == ["done"]
        assert EventRecord.objects.filter(name=happened.name).count() == 1

    def test_blocks_of_other_tasks_wait(self) -> None:
        """Blocks of sibling tasks on one connection never overlap, in the order of arrival."""
        running: list[int] = []
        order: list[int] = []

        async def block(number: int) -> None:
            async with TransactionManager():
                running.append(number)
                assert running == [number]
                await add(f"{number}")
                order.append(number)
                running.remove(number)
                if number % 2:
                    raise Failure

        async def work() -> None:
            found = await asyncio.gather(*map(block, range(8)), return_exceptions=True)
            assert [type(each) for each in found] == [type(None), Failure] * 4

        run(work)
        assert order == list(range(8))
        assert names() == ["0", "2", "4", "6"]

    def test_a_sibling_is_not_undone_with_a_block(self) -> None:
        """A block that fails takes nothing of another task's block with it."""

        async def work() -> None:
            begun = asyncio.Event()

            async def failing() -> None:
                async with TransactionManager():
                    begun.set()
                    await add("undone")
                    await asyncio.sleep(0)
                    raise Failure

            async def sibling() -> None:
                await begun.wait()
                async with TransactionManager():
                    await add("kept")

            await asyncio.gather(failing(), sibling(), return_exceptions=True)

        run(work)
        assert names() == ["kept"]

    def test_blocks_of_tasks_started_within_take_turns(self) -> None:
        """They are savepoints of the block around, one after the other; none waits for itself."""

        async def inner(name: str) -> None:
            async with TransactionManager():
                await add(name)
                await asyncio.sleep(0)
                if name == "b":
                    raise Failure

        async def work() -> None:
            async with TransactionManager():
                await add("outer")
                await asyncio.gather(*map(inner, "abc"), return_exceptions=True)

        run(work)
        assert names() == ["a", "c", "outer"]

    @pytest.mark.parametrize("fail", [False, True])
    def test_a_block_waits_for_those_within(self, fail: bool) -> None:
        """A task that was started within and has its block open ends it before the commit, so a
        failure of it undoes its own work only."""

        async def work() -> None:
            begun = asyncio.Event()

            async def inner() -> None:
                async with TransactionManager():
                    begun.set()
                    await asyncio.sleep(0)
                    await add("inner")
                    if fail:
                        raise Failure

            async with TransactionManager():
                await add("outer")
                task = asyncio.create_task(inner())
                await begun.wait()
            await asyncio.gather(task, return_exceptions=True)

        run(work)
        assert names() == (["outer"] if fail else ["inner", "outer"])

    def test_a_block_that_waits_for_those_within_can_be_cancelled(self) -> None:
        """It ends as it would have, when they have ended, and then it is cancelled."""

        async def work() -> None:
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def inner() -> None:
                async with TransactionManager():
                    begun.set()
                    await go_on.wait()
                    await add("inner")

            async def outer() -> None:
                async with TransactionManager():
                    tasks.append(asyncio.create_task(inner()))
                    await begun.wait()

            tasks: list[asyncio.Task[None]] = []
            waiting = asyncio.create_task(outer())
            await begun.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            waiting.cancel()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not waiting.done()
            go_on.set()
            await asyncio.wait([waiting, *tasks])
            assert waiting.cancelled()
            await add_in_block("after", fail=False)

        before = depth()
        run(work)
        assert (names(), depth()) == (["after", "inner"], before)

    def test_a_block_that_cannot_begin_gives_up_its_turn(self, monkeypatch: Any) -> None:
        """The error goes on, and the next block begins."""

        def refuse() -> None:
            monkeypatch.undo()
            raise OperationalError("the database is down")

        async def work() -> None:
            with pytest.raises(OperationalError):
                await add_in_block("first", fail=False)
            await add_in_block("second", fail=False)

        monkeypatch.setattr(connections["default"], "savepoint", refuse)
        run(work)
        assert names() == ["second"]

    def test_a_block_that_comes_too_late_stands_alone(self) -> None:
        """A task that was started within begins its own transaction when that one is over."""

        async def work() -> None:
            over = asyncio.Event()

            async def inner() -> None:
                await over.wait()
                async with TransactionManager():
                    await add("inner")

            async def outer() -> None:
                async with TransactionManager():
                    tasks.append(asyncio.create_task(inner()))
                    await add("outer")
                    raise Failure

            tasks: list[asyncio.Task[None]] = []
            with pytest.raises(Failure):
                await outer()
            over.set()
            await tasks[0]

        run(work)
        assert names() == ["inner"]

    def test_a_cancelled_task_is_rolled_back(self) -> None:
        """Cancelled in the block, it undoes everything, and the connection is free again."""

        async def work() -> None:
            written, never = asyncio.Event(), asyncio.Event()

            async def cancelled() -> None:
                async with TransactionManager():
                    await add("undone")
                    written.set()
                    await never.wait()

            task = asyncio.create_task(cancelled())
            await written.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with TransactionManager():
                await add("kept")

        run(work)
        assert names() == ["kept"]

    def test_another_task_may_leave_it(self) -> None:
        """A generator that its loop closes ends its transaction; the connection is free again."""

        async def rows() -> AsyncIterator[str]:
            async with TransactionManager():
                await add("undone")
                yield "a row"

        async def work() -> None:
            found = rows()
            assert await asyncio.create_task(anext(found)) == "a row"  # type: ignore[arg-type]  # awaitable
            await asyncio.create_task(found.aclose())  # type: ignore[attr-defined]  # a generator
            async with TransactionManager():
                await add("kept")

        run(work)
        assert names() == ["kept"]

    @pytest.mark.parametrize("steps", range(9))
    def test_it_may_be_cancelled_at_any_time(self, steps: int) -> None:
        """Whether it waits for its turn, begins or ends: nothing is left open, nobody stuck."""

        async def work() -> None:
            async def block(name: str) -> None:
                async with TransactionManager():
                    await add(name)

            tasks = [asyncio.create_task(block(name)) for name in "abc"]
            for _ in range(steps):
                await asyncio.sleep(0)
            tasks[0].cancel()
            tasks[1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await block("d")

        before = depth()
        run(work)
        assert depth() == before
        assert set(names()) >= {"c", "d"}

    @with_real_commits
    def test_event_loops_in_threads_take_turns_too(self) -> None:
        """Two event loops whose database work shares a thread share its turns."""

        def loop(name: str) -> None:
            async def work() -> None:
                for number in range(5):
                    async with TransactionManager():
                        await add(f"{name}{number}")

            asyncio.run(work())

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(loop, "ab"))
        serve(lambda: sync_to_async(connections.close_all)())
        assert len(names()) == 10

    def test_it_works_within_a_sync_transaction(self) -> None:
        """Called from sync code by `async_to_sync`, the block is a savepoint of its transaction."""

        def work() -> None:
            async_to_sync(add_in_block)("inner", fail=False)
            raise Failure

        with pytest.raises(Failure), transaction.atomic():
            work()
        assert names() == []


@pytest.mark.postgres
@with_real_commits
class TestOnPostgres:
    def test_real_connections_work_at_once(self) -> None:
        """Servers with connections of their own transfer at once without losing a unit."""
        a, b = (Account.objects.create(name=name, balance=100) for name in "ab")

        async def transfer(source: Any, target: Any, amount: int) -> None:
            async with TransactionManager() as tx:
                accounts = AsyncRepository(Account, session=tx.session)
                rows = accounts.query().filter(pk__in=[a.pk, b.pk]).order_by("pk")
                locked = {row.pk: row async for row in rows.select_for_update()}
                await accounts.update(source.pk, {"balance": locked[source.pk].balance - amount})
                if amount == 3:
                    raise Failure
                await accounts.update(target.pk, {"balance": locked[target.pk].balance + amount})

        def server(turn: int) -> None:
            async def work() -> None:
                pairs = [(a, b), (b, a)] if turn % 2 else [(b, a), (a, b)]
                jobs = [transfer(*pair, amount) for amount in (1, 2, 3) for pair in pairs]
                await asyncio.gather(*jobs, return_exceptions=True)

            # Called from sync code, each thread's event loop has its own connection.
            async_to_sync(work)()
            connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(server, range(4)))
        assert [row.balance for row in Account.objects.order_by("name")] == [100, 100]
