"""The cached platform fee: never older than the last change, and no worse than slow when down."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.core.cache import cache

CONFIG = "platform_fee_config"
PERCENTAGE = "platform_fee_percentage"
DECIMAL = "platform_fee_decimal"
KEYS = (CONFIG, PERCENTAGE, DECIMAL)
SECONDS = 3600

# Another value after every change, so that whoever read the row before it can tell.
_STAMP = "platform_fee_stamp"

logger = logging.getLogger(__name__)


def read(key: str) -> Any:
    """Return the entry, or None when it is not there or the cache is down."""
    return _tried(lambda: cache.get(key))


def stamp() -> Any:
    """Return what tells whether the fee has changed since; take it before reading the row."""
    return _tried(lambda: cache.get(_STAMP))


def fill(entries: Mapping[str, Any], taken: Any) -> None:
    """Store the entries, unless the fee has changed since the stamp was taken."""
    _tried(lambda: _fill(entries, taken))


def clear() -> None:
    """Remove the entries if the cache lets it; see `invalidate`."""
    _tried(invalidate)


def invalidate() -> None:
    """Remove the entries; whoever is reading the row now cannot put an old value back.

    Raises what the cache raises when it is down.
    """
    cache.set(_STAMP, uuid.uuid4().hex, None)
    cache.delete_many(KEYS)


def _fill(entries: Mapping[str, Any], taken: Any) -> None:
    cache.set_many(dict(entries), SECONDS)
    # After, not before: a change stamps first and removes then, so either this sees the stamp or
    # the removal comes after these entries.
    if cache.get(_STAMP) != taken:
        cache.delete_many(KEYS)


def _tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception:
        # Each cache backend has errors of its own; whatever it is, the database knows the fee.
        logger.warning("the cache of the platform fee is not available", exc_info=True)
        return None
