"""The context belongs to what is running: a thread, an asyncio task, a Celery task, a block."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from celery import Celery

from core.context import (
    Context,
    changed,
    current_context,
    event_context,
    set_context,
    using_context,
)
from core.tenancy import set_current_tenant


@pytest.fixture(autouse=True)
def _clear() -> Any:
    yield
    assert current_context() == Context(), "the test has left a context"


def test_blocks_are_nested() -> None:
    """An inner block changes what it names, and leaves everything as it was."""
    with event_context(actor=1, tenant="a", correlation_id="x") as outer:
        with event_context(tenant="b") as inner:
            assert (inner.actor_id, inner.tenant_id, inner.correlation_id) == ("1", "b", "x")
        assert current_context() == outer


def test_a_block_that_fails() -> None:
    """Leaves nothing behind either."""
    with pytest.raises(ZeroDivisionError), event_context(actor=1):
        raise ZeroDivisionError


def test_roles_belong_to_actor_and_tenant() -> None:
    """They go when either changes, and stay when something else does."""
    context = Context(actor_id="1", tenant_id="a", roles=("admin",))
    assert changed(context, correlation_id="x").roles == ("admin",)
    assert changed(context, actor_id="2").roles == ()
    assert changed(context, tenant_id="b").roles == ()
    assert changed(context, tenant_id="b", roles=("user",)).roles == ("user",)


def test_threads_begin_with_nothing() -> None:
    """A new thread knows nothing of who started it."""
    found: list[Context] = []
    with event_context(actor=1):
        thread = threading.Thread(target=lambda: found.append(current_context()))
        thread.start()
        thread.join(10)
    assert found == [Context()]


def test_threads_are_apart() -> None:
    """Many at once see their own, also when a thread of a pool is used again."""
    together = threading.Barrier(4)

    def work(number: int) -> bool:
        with event_context(actor=number, correlation_id=f"c-{number}"):
            together.wait(10)
            found = current_context()
        own = (found.actor_id, found.correlation_id) == (str(number), f"c-{number}")
        return own and current_context() == Context()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(40)))


def test_tasks_are_apart() -> None:
    """Tasks begin with the context of who made them, and what they change is their own."""

    async def work(number: int) -> bool:
        assert current_context().correlation_id == "parent"
        set_context(Context(actor_id=str(number)))
        await asyncio.sleep(0)
        return current_context() == Context(actor_id=str(number))

    async def parent() -> None:
        with event_context(correlation_id="parent") as mine:
            assert all(await asyncio.gather(*map(work, range(50))))
            assert current_context() == mine

    asyncio.run(parent())


def test_a_task_that_is_cancelled() -> None:
    """Its blocks end like any others."""
    left: list[Context] = []

    async def work() -> None:
        try:
            with event_context(actor=1):
                await asyncio.Event().wait()
        finally:
            left.append(current_context())

    async def parent() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(parent())
    assert left == [Context()]


def test_between_event_loop_and_thread() -> None:
    """What runs in the other world for a coroutine sees its context, and may change it."""

    def in_thread() -> str | None:
        found = current_context().correlation_id
        set_context(changed(current_context(), actor_id="7"))
        return found

    async def in_loop() -> str | None:
        await asyncio.sleep(0)
        found = current_context().actor_id
        set_context(changed(current_context(), tenant_id="t"))
        return found

    async def coroutine() -> None:
        with event_context(correlation_id="x"):
            assert await sync_to_async(in_thread)() == "x"
            assert current_context().actor_id == "7"
        assert current_context() == Context()

    asyncio.run(coroutine())
    with event_context(actor=3):
        assert async_to_sync(in_loop)() == "3"
        assert current_context().tenant_id == "t"


def test_a_pool_without_the_bridge() -> None:
    """`asyncio.to_thread` takes the context along, and brings nothing back."""

    async def coroutine() -> None:
        with event_context(actor=1) as mine:
            assert await asyncio.to_thread(current_context) == mine
            await asyncio.to_thread(set_context, Context(actor_id="2"))
            assert current_context() == mine

    asyncio.run(coroutine())


@pytest.fixture
def tasks() -> Celery:
    """An app whose tasks run here, as a worker runs them one after the other in one thread."""
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.task_always_eager = True
    return app


@pytest.mark.parametrize("fails", [False, True])
def test_a_celery_task_leaves_nothing(tasks: Celery, fails: bool) -> None:
    """What it sets is gone when it ends, though it fails."""
    seen: list[Context] = []

    @tasks.task(name="leaves")
    def leaves(number: int) -> None:
        seen.append(current_context())
        set_current_tenant(f"tenant-{number}")
        set_context(changed(current_context(), actor_id="1"))
        if fails:
            raise ZeroDivisionError

    for number in range(3):
        leaves.apply(args=[number])
        assert current_context() == Context()
    assert [context.tenant_id for context in seen] == [None, None, None]


def test_a_task_within_a_task(tasks: Celery) -> None:
    """The outer one goes on with its own context."""

    @tasks.task(name="inner")
    def inner() -> None:
        set_context(Context(actor_id="inner"))

    @tasks.task(name="outer")
    def outer() -> str | None:
        set_context(Context(actor_id="outer"))
        inner.apply()
        return current_context().actor_id

    assert outer.apply().get() == "outer"


def test_a_context_cannot_be_changed() -> None:
    """Who holds one holds it as it was: only a new one can be set."""
    context = Context(causation_id=uuid4())
    with using_context(context), pytest.raises(AttributeError):
        current_context().actor_id = "1"  # type: ignore[misc]


@pytest.mark.parametrize("value", [True, 1.5, [], "", "x" * 129, "a\x00", "\ud800"])
def test_what_is_no_id(value: Any) -> None:
    """Is refused where it is given, not where it is stored."""
    with pytest.raises((TypeError, ValueError)), event_context(actor=value):
        pass
