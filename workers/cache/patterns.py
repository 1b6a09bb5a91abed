"""Deletes the cache entries whose keys match a pattern, and no others.

`*` stands for any text and `?` for one character; everything else stands for itself. The pattern is
matched against keys as they were given to Django's cache, in its key prefix and version.

| backend | how |
|---|---|
| Redis | `SCAN`, which never blocks the server as `KEYS` would, and `UNLINK` |
| local memory, database | by looking at every key |
| one with a `delete_pattern` of its own, such as django-redis | by that |
| any other (file, Memcached) | its keys cannot be listed, so the whole cache is cleared |
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.core.cache import BaseCache, caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from django.db import connections, router

logger = logging.getLogger(__name__)

_PLACE = "<<pattern>>"
_SCANNED_AT_ONCE = 1000
_DELETED_AT_ONCE = 500


def delete_pattern(pattern: str, *, alias: str = "default") -> int | None:
    """Delete the matching entries and return how many, or None when that cannot be known."""
    cache: Any = caches[alias]
    if hasattr(cache, "delete_pattern"):
        return int(cache.delete_pattern(pattern))
    for backend, delete in _BACKENDS:
        if isinstance(cache, backend):
            return delete(cache, pattern)
    logger.warning("cache %r cannot list its keys, so %r clears all of it", alias, pattern)
    cache.clear()
    return None


def _redis(cache: Any, pattern: str) -> int:
    client = cache._cache.get_client(None, write=True)
    found = client.scan_iter(match=_redis_glob(cache, pattern), count=_SCANNED_AT_ONCE)
    deleted = 0
    while keys := list(islice(found, _DELETED_AT_ONCE)):
        deleted += client.unlink(*keys)
    return deleted


def _local_memory(cache: Any, pattern: str) -> int:
    with cache._lock:
        keys = _matching(cache, pattern, list(cache._cache))
        for key in keys:
            cache._delete(key)
    return len(keys)


def _database(cache: Any, pattern: str) -> int:
    connection = connections[router.db_for_write(cache.cache_model_class)]
    table = connection.ops.quote_name(cache._table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT cache_key FROM {table}")
        keys = _matching(cache, pattern, (key for (key,) in cursor.fetchall()))
        cursor.executemany(f"DELETE FROM {table} WHERE cache_key = %s", [(key,) for key in keys])
    return len(keys)


_BACKENDS = (
    (RedisCache, _redis),
    (LocMemCache, _local_memory),
    (DatabaseCache, _database),
    (DummyCache, lambda cache, pattern: 0),
)


def _around(cache: BaseCache) -> list[str]:
    """Return what Django puts before and after a key: its prefix and version."""
    return cache.make_key(_PLACE).split(_PLACE)


def _matching(cache: BaseCache, pattern: str, keys: Iterable[str]) -> list[str]:
    wildcards = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
    before, after = _around(cache)
    whole = re.compile(re.escape(before) + wildcards + re.escape(after), re.DOTALL)
    return [key for key in keys if whole.fullmatch(key)]


def _redis_glob(cache: BaseCache, pattern: str) -> str:
    before, after = _around(cache)
    body = re.sub(r"([\[\]\\^])", r"\\\1", pattern)
    return (
        re.sub(r"([*?\[\]\\^])", r"\\\1", before) + body + re.sub(r"([*?\[\]\\^])", r"\\\1", after)
    )
