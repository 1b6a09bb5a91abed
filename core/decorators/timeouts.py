"""Calls that may not take longer than so many seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import ExitStack
from contextvars import copy_context
from threading import Thread
from typing import Any

from django.db import connections
from django.db.transaction import TransactionManagementError

from core.decorators.calls import Args, F, Kwargs, name_of, require_number, wrapped

logger = logging.getLogger(__name__)


def timeout(seconds: float = 30) -> Callable[[F], F]:
    """Raise TimeoutError when a call takes longer than `seconds`.

    An async function is cancelled. A sync one runs in a thread of its own, with the context
    variables of the caller; no thread can be killed, so it goes on in the background, and what
    comes of it is only logged. That thread has database connections of its own: using a database
    there while the caller has a transaction open on it raises `TransactionManagementError`,
    since the work would not be part of that transaction. Raises TypeError or ValueError unless
    `seconds` is a number above 0, at most 10**9.
    """
    if callable(seconds):
        raise TypeError("write @timeout() with parentheses")
    require_number("seconds", seconds, least=0)
    if seconds == 0:
        raise ValueError("seconds must be above 0")

    def decorate(function: F) -> F:
        def sync(args: Args, kwargs: Kwargs) -> Any:
            return _within(seconds, function, args, kwargs)

        async def coroutine(args: Args, kwargs: Kwargs) -> Any:
            try:
                async with asyncio.timeout(seconds) as limit:
                    return await function(*args, **kwargs)
            except TimeoutError as error:
                if limit.expired():
                    raise _too_long(function, seconds) from error
                raise

        return wrapped(function, sync=sync, coroutine=coroutine)

    return decorate


def _within(seconds: float, function: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
    outcome: Future[Any] = Future()
    open_ones = [c.alias for c in connections.all(initialized_only=True) if c.in_atomic_block]

    def run() -> None:
        _settle(outcome, lambda: _guarded(open_ones, function, args, kwargs), name_of(function))

    Thread(target=copy_context().run, args=(run,), name="timeout", daemon=True).start()
    wait([outcome], seconds)
    if outcome.cancel():
        raise _too_long(function, seconds)
    return outcome.result()


def _settle(outcome: Future[Any], call: Callable[[], Any], name: str) -> None:
    try:
        result = call()
    except BaseException as error:  # the caller's to handle, whatever it is
        try:
            outcome.set_exception(error)
        except InvalidStateError:
            logger.warning("%s failed after its time-out", name, exc_info=error)
        return
    try:
        outcome.set_result(result)
    except InvalidStateError:
        logger.warning("%s returned after its time-out", name)


def _guarded(
    open_ones: Iterable[str], function: Callable[..., Any], args: Args, kwargs: Kwargs
) -> Any:
    try:
        with ExitStack() as stack:
            for alias in open_ones:
                stack.enter_context(connections[alias].execute_wrapper(_refuse))
            return function(*args, **kwargs)
    finally:
        connections.close_all()


def _refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    raise TransactionManagementError(
        "a function with a time limit runs in a thread of its own and cannot join the "
        "transaction that its caller has open: put the limit around the transaction instead"
    )


def _too_long(function: Any, seconds: float) -> TimeoutError:
    return TimeoutError(f"{name_of(function)} took longer than {seconds:g} s")
