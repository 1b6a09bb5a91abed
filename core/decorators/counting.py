"""Where calls are counted: in the Redis of all processes, or in the memory of this one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from core import exceptions

logger = logging.getLogger(__name__)

# Seconds that one question to Redis may take, and that it is left alone after a failure.
PATIENCE = 0.25
PAUSE = 2.0
# Hits between two removals of callers who have not come back.
TIDY_EVERY = 5_000


@dataclass(frozen=True, slots=True)
class Count:
    """How a limit stands after a call: may it run, how many are left, seconds until one more is."""

    allowed: bool
    remaining: int
    reset: float


class MemoryCounter:
    """Counts in the memory of this process."""

    blocks = False

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._limiter = MovingWindowRateLimiter(self._storage)
        self._hits = 0

    def hit(self, limit: int, period: int, *names: str) -> Count:
        """Count a call under these names; at most `limit` in any `period` seconds are allowed."""
        self._hits += 1
        if self._hits % TIDY_EVERY == 0:
            self._tidy()
        return _hit(self._limiter, limit, period, names)

    def reset(self) -> None:
        """Forget every count."""
        self._storage.reset()

    def _tidy(self) -> None:
        # The library keeps an empty list for every key that it has ever seen.
        for key in list(self._storage.events):
            with self._storage.locks[key]:
                if not self._storage.events.get(key):
                    self._storage.events.pop(key, None)


class RedisCounter:
    """Counts in Redis. While that is down every call is allowed, and the log has said so once."""

    blocks = True

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        # None while Redis answers; else the moment from which it is asked again.
        self._resume_at: float | None = None
        self._lock = Lock()

    def hit(self, limit: int, period: int, *names: str) -> Count | None:
        """Count a call as `MemoryCounter.hit` does; None when Redis does not answer."""
        if self._resume_at is not None and not self._may_ask_again():
            return None
        try:
            count = _hit(self._limiter, limit, period, names)
        except StorageError as error:
            self._failed(error)
            return None
        self._answered()
        return count

    def _may_ask_again(self) -> bool:
        # One call finds out whether Redis is back; a Redis that hangs would hold up all others too.
        with self._lock:
            now = self._clock()
            if self._resume_at is not None:
                if now < self._resume_at:
                    return False
                self._resume_at = now + PAUSE
        return True

    def _failed(self, error: StorageError) -> None:
        with self._lock:
            is_news = self._resume_at is None
            self._resume_at = self._clock() + PAUSE
        if is_news:
            logger.error("Redis is down: rate limits let every call pass (%s)", error)

    def _answered(self) -> None:
        if self._resume_at is None:
            return
        with self._lock:
            is_news = self._resume_at is not None
            self._resume_at = None
        if is_news:
            logger.info("rate limits are counted again")

    @cached_property
    def _limiter(self) -> MovingWindowRateLimiter:
        return MovingWindowRateLimiter(_redis(self._url))


def _redis(url: str) -> Storage:
    options = {
        "wrap_exceptions": True,
        "key_prefix": "signalbox:limits",
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        # A connection that Redis closed meanwhile is opened again; nothing else is repeated.
        "retry": Retry(NoBackoff(), 1),
    }
    try:
        storage = storage_from_string(_as_limits_has_it(url), **options)  # type: ignore[arg-type]  # the client takes more than texts
    except (ConfigurationError, ValueError) as error:
        raise exceptions.ConfigurationError(
            "RATE_LIMIT_REDIS_URL must be like redis://host:6379/1"
        ) from error
    assert isinstance(storage, Storage)
    return storage


def _as_limits_has_it(url: str) -> str:
    return f"redis+{url}" if url.startswith("unix:") else url


def _hit(
    limiter: MovingWindowRateLimiter, limit: int, period: int, names: tuple[str, ...]
) -> Count:
    item = RateLimitItemPerSecond(limit, period)
    allowed = limiter.hit(item, *names)
    reset_at, remaining = limiter.get_window_stats(item, *names)
    return Count(allowed, max(0, remaining), max(0.0, reset_at - time.time()))


_lock = Lock()
_shared: dict[str, RedisCounter] = {}
local = MemoryCounter()


def shared() -> RedisCounter | MemoryCounter:
    """Return the counter of all processes: Redis by `RATE_LIMIT_REDIS_URL`, else `local`."""
    url = getattr(settings, "RATE_LIMIT_REDIS_URL", "")
    if not url:
        return local
    with _lock:
        if url not in _shared:
            _shared[url] = RedisCounter(url)
        return _shared[url]


def reset_rate_limits() -> None:
    """Forget what this process has counted: for tests. Counts in Redis stay."""
    local.reset()
