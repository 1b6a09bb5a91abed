"""The cache: Redis or Valkey by `REDIS_URL`, otherwise the memory of one process."""

__all__ = ["CACHES"]

from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

from .environment import env

REDIS_URL = env.url("REDIS_URL", "", schemes=["redis", "rediss", "unix"])


def _redis(url: str) -> dict[str, Any]:
    # The client's own default waits for seconds and tries again three times: a cache that is down
    # must cost a request next to nothing.
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "signalbox",
        "OPTIONS": {
            "socket_timeout": 1,
            "socket_connect_timeout": 1,
            "health_check_interval": 30,
            "retry": Retry(NoBackoff(), 1),
        },
    }


# Local memory is right for one process (runserver, tests, EVENTS_MODE=inline). Several processes
# share a cache, and so see each other's invalidations, only with REDIS_URL.
LOCAL = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}

CACHES = {"default": _redis(REDIS_URL) if REDIS_URL else LOCAL}
