"""The cached platform fee: never older than the last change, and no worse than slow when down.

The cache holds the row under `platform_fee_config`, tagged with a stamp. Every change sets another
stamp after its commit, so that a row which somebody read before is worthless, whenever it is put
back. `platform_fee_percentage` and `platform_fee_decimal` are there for others to look at.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.core.cache import DEFAULT_CACHE_ALIAS, cache, caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import transaction

from core.fee.memory import memory

CONFIG = "platform_fee_config"
PERCENTAGE = "platform_fee_percentage"
DECIMAL = "platform_fee_decimal"
KEYS = (CONFIG, PERCENTAGE, DECIMAL)
SECONDS = 3600

Row = dict[str, Any]

_STAMP = "platform_fee_stamp"
_FAILED: Any = object()
# How long to leave a cache alone that has failed.
_REST = 5.0

logger = logging.getLogger(__name__)


class _Outage:
    """Whether the cache is down; said once in the log, and once when it is over."""

    def __init__(self) -> None:
        self.rests_until = 0.0
        self.is_on = False
        # A change that the cache has not been told of.
        self.owes_a_change = False

    def began(self, error: Exception) -> None:
        self.rests_until = time.monotonic() + _REST
        if not self.is_on:
            self.is_on = True
            logger.warning(
                "the cache of the platform fee is down, the database answers: %s",
                type(error).__name__,
                exc_info=error,
            )

    def ended(self) -> None:
        if self.is_on:
            self.is_on = False
            logger.info("the cache of the platform fee is back")


class _Thread(threading.local):
    """The database on which this thread's open transaction has changed the fee."""

    using: str | None = None


_outage = _Outage()
_thread = _Thread()


def begin_anew() -> None:
    """Know nothing of the fee or of the cache, as a process that has just been started."""
    global _outage, _thread
    _outage, _thread = _Outage(), _Thread()
    memory.drop()


os.register_at_fork(after_in_child=begin_anew)


def is_shared() -> bool:
    """Tell whether other processes may see this cache: all but the memory of one, or none."""
    return not isinstance(caches[DEFAULT_CACHE_ALIAS], LocMemCache | DummyCache)


def read() -> tuple[Row | None, str | None]:
    """Return the row, if the cache has one as of the last change, and the stamp that `fill` needs.

    The stamp is None when the cache is down.
    """
    if _outage.owes_a_change:
        _tell()
    found = _FAILED if _outage.owes_a_change else _tried(_read)
    return (None, None) if found is _FAILED else found


def fill(
    row: Row, stamp: str | None, *, percentage: Any, fraction: Any, seconds: float = SECONDS
) -> None:
    """Store what was read from the database after `read` gave the stamp.

    The percentage and the fraction are stored for `seconds`, after which a planned change begins.
    """
    if stamp is not None:
        numbers = {PERCENTAGE: percentage, DECIMAL: fraction}
        _tried(lambda: _fill(row, stamp, numbers, int(min(seconds, SECONDS))))


def clear() -> None:
    """Forget the fee here, and remove the entries if the cache lets it; see `invalidate`."""
    memory.drop()
    _tell()


def invalidate() -> None:
    """Remove the entries; whoever is reading the row now cannot put an old value back.

    Raises what the cache raises when it is down.
    """
    memory.drop()
    _invalidate()


def changed(using: str) -> None:
    """Clear the cache for a change made in the open transaction: now, and when it is committed."""
    clear()
    _thread.using = using
    transaction.on_commit(_committed, using=using, robust=True)


def is_changing() -> bool:
    """Tell whether this thread's transaction has changed the fee and is not committed yet."""
    using = _thread.using
    if using is None:
        return False
    # Django forgets these hooks when a transaction or savepoint is rolled back.
    hooks = transaction.get_connection(using).run_on_commit
    if any(hook[1] is _committed for hook in hooks):
        return True
    # Rolled back; or committed, and hooks that were registered earlier are still running.
    _committed()
    return False


def _tell() -> None:
    # Before the attempt, so that another thread's failure meanwhile is not overlooked.
    _outage.owes_a_change = False
    if _tried(_invalidate) is _FAILED:
        _outage.owes_a_change = True


def _committed() -> None:
    _thread.using = None
    clear()


def _read() -> tuple[Row | None, str | None]:
    found = cache.get_many([CONFIG, _STAMP])
    stamp, row = found.get(_STAMP), found.get(CONFIG)
    if stamp is None:
        cache.add(_STAMP, uuid.uuid4().hex, None)
        return None, cache.get(_STAMP)
    if not isinstance(row, dict) or row.pop("stamp", None) != stamp:
        return None, stamp
    return row, stamp


def _fill(row: Row, stamp: str, numbers: Mapping[str, Any], seconds: int) -> None:
    cache.set(CONFIG, {**row, "stamp": stamp}, SECONDS)
    cache.set_many(dict(numbers), seconds)
    # The numbers have no tag. A change stamps first and removes then, so either this sees the new
    # stamp or the removal comes after these entries.
    if cache.get(_STAMP) != stamp:
        cache.delete_many(KEYS)


def _invalidate() -> None:
    cache.set(_STAMP, uuid.uuid4().hex, None)
    cache.delete_many(KEYS)


def _tried(call: Callable[[], Any]) -> Any:
    """Return what the call returns, or `_FAILED` when the cache is down or was just now."""
    if time.monotonic() < _outage.rests_until:
        return _FAILED
    try:
        result = call()
    except Exception as error:
        # Each cache backend has errors of its own; whatever it is, the database knows the fee.
        _outage.began(error)
        return _FAILED
    _outage.ended()
    return result
