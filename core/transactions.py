"""TransactionManager: Django's `atomic`, for `with` and for `async with`.

Django's transactions belong to a connection, and the asyncio tasks of an event loop share one. So
an `async with` block waits until the blocks of other tasks on the same connection have ended;
blocks that are opened within it, by its own task or by one that it started, take turns as
savepoints. What a task writes *outside* any block meanwhile still joins the transaction that is
open: begin a block around every group of writes, and do not `gather` bare writers inside one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionDoesNotExist

from core.helpers import shortened


@dataclass(frozen=True)
class Session:
    """What helpers are handed to take part: it names the database of the transaction."""

    using: str = DEFAULT_DB_ALIAS


def require_alias(using: str) -> None:
    """Raise TypeError or Django's ConnectionDoesNotExist unless a database has this alias."""
    if not isinstance(using, str):
        raise TypeError(f"using must be the alias of a database, got {shortened(using)}")
    if using not in connections:
        known = ", ".join(connections)
        raise ConnectionDoesNotExist(f"there is no database {shortened(using)}; use one of {known}")


class TransactionManager:
    """A block whose writes are committed together at its end, or undone by any exception.

    The exception goes on to the caller. A block within a block is a savepoint. Events fired inside
    are dispatched after the outermost commit. A task that is cancelled inside is rolled back first.
    Raises Django's ConnectionDoesNotExist for a database that is not in the settings.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        require_alias(using)
        self.session = Session(using)
        self._atomic = transaction.atomic(using=using)
        self._open: list[_Block] = []

    def __enter__(self) -> Self:
        self._atomic.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._atomic.__exit__(kind, error, traceback)

    async def __aenter__(self) -> Self:
        block = await _begun(self.session.using)
        try:
            await _to_the_end(sync_to_async(self._atomic.__enter__)())
        except asyncio.CancelledError as error:
            # It began all the same.
            leaving = sync_to_async(self._atomic.__exit__)
            await _to_the_end(leaving(type(error), error, error.__traceback__))
            block.ended()
            raise
        except BaseException:
            block.ended()
            raise
        block.around = _blocks.get()
        _blocks.set({**block.around, self.session.using: block})
        self._open.append(block)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block = _blocks.get().get(self.session.using)
        if block in self._open:
            self._open.remove(block)
            _blocks.set(block.around)
        else:
            # Left by another task than entered it, as when a generator is closed from outside.
            block = self._open.pop()
        await _to_the_end(self._leave(block, kind, error, traceback))

    async def _leave(self, block: _Block, *error: Any) -> None:
        # The savepoints of tasks that this one started end first.
        turn = await block.within.take()
        block.closed = True
        try:
            await sync_to_async(self._atomic.__exit__)(*error)
        finally:
            block.within.give_back(turn)
            block.ended()


class _Turns:
    """Whose turn it is: in the order of arrival, also over threads and event loops."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: Future[None] | None = None

    async def take(self) -> Future[None]:
        """Wait until all before have given back their turn; return this one."""
        turn: Future[None] = Future()
        with self._lock:
            before, self._last = self._last, turn
        if before is None:
            return turn
        try:
            await asyncio.shield(asyncio.wrap_future(before))
        except asyncio.CancelledError:
            # Nobody will use this turn, so it passes on when it comes.
            before.add_done_callback(lambda _: turn.set_result(None))
            raise
        return turn

    def give_back(self, turn: Future[None]) -> None:
        """Let the next one have its turn."""
        turn.set_result(None)


@dataclass(eq=False)
class _Block:
    """An open `async with` block: its connection, its turn on it, and the turns within it."""

    connection: BaseDatabaseWrapper
    outer: _Block | None
    turns: _Turns
    turn: Future[None]
    around: Mapping[str, _Block] = field(default_factory=dict)
    within: _Turns = field(default_factory=_Turns)
    closed: bool = False

    def ended(self) -> None:
        """Let the next block of the connection, or of the block around this one, begin."""
        self.closed = True
        self.turns.give_back(self.turn)


# The innermost open block of each database, inherited by the tasks that are started within it.
_blocks: ContextVar[Mapping[str, _Block]] = ContextVar(
    "core_transactions_blocks", default=MappingProxyType({})
)
_turns: WeakKeyDictionary[BaseDatabaseWrapper, _Turns] = WeakKeyDictionary()
_turns_lock = Lock()


async def _begun(using: str) -> _Block:
    """Wait for a turn on the connection, or within the block that this task is in."""
    connection = await sync_to_async(lambda: connections[using])()
    while True:
        outer = _enclosing(using, connection)
        turns = outer.within if outer else _turns_of(connection)
        turn = await turns.take()
        if outer is None or not outer.closed:
            return _Block(connection, outer, turns, turn)
        # The block around ended meanwhile.
        turns.give_back(turn)


def _enclosing(using: str, connection: BaseDatabaseWrapper) -> _Block | None:
    block = _blocks.get().get(using)
    while block is not None and (block.closed or block.connection is not connection):
        block = block.outer
    return block


def _turns_of(connection: BaseDatabaseWrapper) -> _Turns:
    with _turns_lock:
        return _turns.setdefault(connection, _Turns())


async def _to_the_end(work: Coroutine[Any, Any, Any]) -> None:
    """Await the work, all of it: a cancellation meanwhile is raised when it is done.

    A thread that begins or ends a transaction cannot be stopped half-way.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
