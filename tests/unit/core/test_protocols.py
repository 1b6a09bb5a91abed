"""Whatever has the methods fits; nothing has to inherit."""

from typing import Any

import pytest
from django.core.cache import cache, caches
from django.core.cache.backends.dummy import DummyCache

from core.protocols import AnalyticsClient, CacheBackend, NotificationBackend, TokenProvider
from workers.analytics import posthog
from workers.notifications.channels import CHANNELS


class RedisCache:
    """A cache as somebody else wrote it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any, timeout: int | None = None) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


class ReadOnly:
    def get(self, key: str) -> Any:
        return None


def get_data(backend: CacheBackend, key: str) -> Any:
    return backend.get(key)


def test_any_cache_fits() -> None:
    """A function that takes the protocol works with a class that never heard of it."""
    backend = RedisCache()
    backend.set("key", "value", timeout=10)
    assert isinstance(backend, CacheBackend)
    assert get_data(backend, "key") == "value"
    backend.delete("key")
    assert get_data(backend, "key") is None


@pytest.mark.parametrize(
    "backend", [cache, caches["default"], DummyCache("", {})], ids=["cache", "caches", "dummy"]
)
def test_the_caches_of_django_fit(backend: CacheBackend) -> None:
    """Django's caches, and the name that stands for the default one, are cache backends."""
    assert isinstance(backend, CacheBackend)
    assert get_data(backend, "no-such-key") is None


@pytest.mark.parametrize("other", [ReadOnly(), None, {}, "text"], ids=repr)
def test_what_lacks_a_method_does_not_fit(other: object) -> None:
    """All the methods are needed."""
    assert not isinstance(other, CacheBackend)


def test_the_workers_fit() -> None:
    """Channels, PostHog and plain functions are what the protocols describe."""
    assert all(isinstance(channel, NotificationBackend) for channel in CHANNELS.values())
    assert isinstance(posthog, AnalyticsClient)
    assert isinstance(lambda: "token", TokenProvider)
    assert not isinstance(object(), NotificationBackend)
    assert not isinstance(object(), AnalyticsClient)
    assert not isinstance("token", TokenProvider)
