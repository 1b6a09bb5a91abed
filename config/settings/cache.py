"""The cache: Redis or Valkey by `REDIS_URL`, otherwise the memory of one process.

Memory is right for one process (runserver, tests, EVENTS_MODE=inline). Several processes share a
cache, and so see each other's invalidations, only with `REDIS_URL`.
"""

__all__ = ["CACHES"]

from core.config_classes import CacheConfig

from .environment import env

_cache = CacheConfig.from_environment(env)

REDIS_URL = _cache.location
CACHES = {"default": _cache.to_django()}
