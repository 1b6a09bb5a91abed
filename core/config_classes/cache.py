"""CacheConfig: Redis or the memory of one process, as `CACHES` takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote

from redis.backoff import NoBackoff
from redis.retry import Retry

from core.config_classes.checking import is_flag, is_name, is_text, is_whole, require
from core.environment import Environment

BACKENDS = {
    "redis": "django.core.cache.backends.redis.RedisCache",
    "memory": "django.core.cache.backends.locmem.LocMemCache",
}
SCHEMES = ["redis", "rediss", "unix"]


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Where the cache is, and how long values stay. Raises ConfigurationError for bad values.

    `backend` is "redis" or "memory", which no other process sees. `url`, when given, counts
    instead of host, port, number, password and TLS. `ttl_default` is in seconds; None: for ever.
    """

    backend: str = "redis"
    host: str = "localhost"
    port: int = 6379
    number: int = 0
    password: str = field(default="", repr=False)
    tls: bool = False
    url: str = field(default="", repr=False)
    ttl_default: int | None = 300
    key_prefix: str = "signalbox"

    def __post_init__(self) -> None:
        require(
            self,
            {
                "backend": (lambda value: value in tuple(BACKENDS), "'redis' or 'memory'"),
                "host": (is_name, "a name or an address"),
                "port": (lambda value: is_whole(value, 1, 65535), "from 1 to 65535"),
                "number": (lambda value: is_whole(value, 0), "at least 0"),
                "password": (is_text, "a text"),
                "tls": (is_flag, "True or False"),
                "url": (_is_url, "empty or begin with redis://, rediss:// or unix://"),
                "ttl_default": (lambda n: n is None or is_whole(n, 0), "None or at least 0"),
                "key_prefix": (is_text, "a text"),
            },
        )

    @classmethod
    def from_environment(cls, environment: Environment | None = None) -> Self:
        """Return the cache of `REDIS_URL`, or memory without it.

        Raises ConfigurationError for a value that cannot be used; a reader that is given collects
        it instead.
        """
        reader = environment or Environment.of_process()
        url = reader.url("REDIS_URL", "", schemes=SCHEMES)
        if environment is None:
            reader.require_valid()
        return cls(url=url) if url else cls(backend="memory")

    @property
    def location(self) -> str:
        """The address with its password, as redis-py takes it; empty for memory."""
        if self.backend == "memory":
            return ""
        if self.url:
            return self.url
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{secret}{host}:{self.port}/{self.number}"

    def to_django(self) -> dict[str, Any]:
        """Return what `CACHES` holds for it."""
        setting = {"BACKEND": BACKENDS[self.backend], "TIMEOUT": self.ttl_default}
        if self.backend == "memory":
            return setting
        # The client's own default waits for seconds and tries again three times: a cache that is
        # down must cost a request next to nothing.
        return setting | {
            "LOCATION": self.location,
            "KEY_PREFIX": self.key_prefix,
            "OPTIONS": {
                "socket_timeout": 1,
                "socket_connect_timeout": 1,
                "health_check_interval": 30,
                "retry": Retry(NoBackoff(), 1),
            },
        }


def _is_url(value: Any) -> bool:
    return is_text(value) and (not value or value.partition("://")[0] in SCHEMES)
