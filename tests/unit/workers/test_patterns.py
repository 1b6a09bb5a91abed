"""Deleting by pattern removes what matches and nothing else, on every kind of cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import call_command

from workers.cache.patterns import delete_pattern

KEYS = ["users:1", "users:22", "users:", "user:1", "my-users:1", "users", "Users:1", "a[b]*c"]
BACKENDS = "django.core.cache.backends"


@pytest.fixture(params=["redis", "memory", "database"])
def cache(request: pytest.FixtureRequest, settings: Any) -> Iterator[Any]:
    """A cache of each kind that can list its keys, with a prefix full of wildcards."""
    options: dict[str, Any] = {"KEY_PREFIX": f"p*?[x]{request.node.name[:8]}", "VERSION": 3}
    if request.param == "redis":
        options |= {
            "BACKEND": f"{BACKENDS}.redis.RedisCache",
            "LOCATION": request.getfixturevalue("redis_url"),
        }
    elif request.param == "memory":
        options |= {"BACKEND": f"{BACKENDS}.locmem.LocMemCache", "LOCATION": "patterns"}
    else:
        request.getfixturevalue("db")
        options |= {"BACKEND": f"{BACKENDS}.db.DatabaseCache", "LOCATION": "patterns_cache"}
    settings.CACHES = {"default": {"BACKEND": f"{BACKENDS}.dummy.DummyCache"}, "tried": options}
    if request.param == "database":
        call_command("createcachetable", "patterns_cache")
    yield caches["tried"]
    # Not clear(): the Redis may be somebody's who keeps more in it.
    caches["tried"].delete_many(KEYS)
    caches["tried"].delete("users:1", version=4)
    caches["tried"].close()


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("users:*", {"users:1", "users:22", "users:"}),
        ("users:?", {"users:1"}),
        ("*:1", {"users:1", "user:1", "my-users:1", "Users:1"}),
        ("users", {"users"}),
        ("a[b]*c", {"a[b]*c"}),
        ("[a-z]*", set()),
        ("nothing:*", set()),
    ],
)
def test_what_matches_goes_and_the_rest_stays(cache: Any, pattern: str, gone: set[str]) -> None:
    """`*` and `?` are wildcards, anything else stands for itself; prefix and version are minded."""
    cache.set_many(dict.fromkeys(KEYS, 1))
    cache.set("users:1", "another version", version=4)
    assert delete_pattern(pattern, alias="tried") == len(gone)
    assert set(KEYS) - cache.get_many(KEYS).keys() == gone
    assert cache.get("users:1", version=4) == "another version"


def test_many_entries_go_in_portions(cache: Any) -> None:
    """More entries than one command takes are all removed."""
    cache.set_many({f"many:{number}": 1 for number in range(1200)} | {"other": 1})
    deleted = delete_pattern("many:*", alias="tried")
    assert cache.get_many([f"many:{number}" for number in range(1200)]) == {}
    # A cache with a limit may have dropped some by itself.
    assert deleted is not None
    assert 0 < deleted <= 1200


def test_a_cache_that_cannot_list_its_keys_is_cleared(
    settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Losing too much is right, leaving something stale is not; a warning says so."""
    backend = {"BACKEND": f"{BACKENDS}.filebased.FileBasedCache", "LOCATION": str(tmp_path)}
    settings.CACHES = {"default": backend}
    caches["default"].set_many({"users:1": 1, "other": 1})
    with caplog.at_level(logging.WARNING):
        assert delete_pattern("users:*") is None
    assert caches["default"].get_many(["users:1", "other"]) == {}
    assert "clears all of it" in caplog.text


def test_a_backend_that_knows_patterns_is_asked(settings: Any) -> None:
    """A backend with a `delete_pattern` of its own does it itself."""
    settings.CACHES = {"default": {"BACKEND": f"{BACKENDS}.dummy.DummyCache"}}
    assert delete_pattern("users:*") == 0
    caches["default"].delete_pattern = len  # type: ignore[attr-defined]  # as django-redis has it
    assert delete_pattern("users:*") == 7
