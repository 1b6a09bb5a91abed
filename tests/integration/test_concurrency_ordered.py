"""Ordered routes under concurrent workers: the order per key holds, whatever fails."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from core.events import Backoff, Event, EventSignal, Retry
from tests.unit.core.events.support import (
    Effects,
    committing,
    drain,
    join,
    processes,
    record_route,
    settled,
)
from tests.unit.core.events.wiring import fresh_wiring

pytestmark = committing
KEYS, EACH = 12, 25


@pytest.fixture(autouse=True)
def wiring() -> Iterator[None]:
    """No route but the test's own."""
    with fresh_wiring():
        yield


@pytest.fixture
def effects(db: None) -> Iterator[Effects]:
    """A table for what handlers do in the engine's database."""
    table = Effects()
    yield table
    table.drop()


def fire() -> None:
    """Fire events of many keys, numbered per key, all mixed."""
    signal = EventSignal("stock.changed", key="key")
    signal.send_many(
        sender=None,
        payloads=[{"key": f"k{key}", "n": n} for n in range(EACH) for key in range(KEYS)],
    )


def orders(effects: Effects) -> dict[str, list[int]]:
    """Return the numbers per key in the order in which they took effect."""
    found: dict[str, list[int]] = defaultdict(list)
    for effect in effects.all():
        key, _, number = effect.partition(":")
        found[key].append(int(number))
    return found


@pytest.mark.parametrize("batch_size", [1, 5], ids=["single", "batch"])
@pytest.mark.parametrize("trouble", ["none", "failures", "retries"])
def test_four_workers_keep_the_order_of_each_key(
    effects: Effects, batch_size: int, trouble: str
) -> None:
    """Also when every seventh event fails, or asks for another try, the first time."""

    def behave(events: list[Event]) -> None:
        for event in events:
            if trouble != "none" and event.attempt == 1 and event.data["n"] % 7 == 3:
                raise ValueError if trouble == "failures" else Retry(after=0)
            effects.add(f"{event.key}:{event.data['n']}")

    record_route(
        "stock.*",
        ordered=True,
        atomic=True,
        batch_size=batch_size,
        backoff=Backoff(first=0, jitter="none"),
    ).behave = behave
    fire()
    with processes(4, lambda index: drain()) as workers:
        join(workers)
    assert orders(effects) == {f"k{key}": list(range(EACH)) for key in range(KEYS)}
    assert settled() == {"done": KEYS * EACH}


def test_no_two_workers_have_one_key_at_once(effects: Effects) -> None:
    """While a handler works on a key, nobody else does."""

    def behave(events: list[Event]) -> None:
        for event in events:
            effects.add(f"{event.key}:{os.getpid()}:begin")
            effects.add(f"{event.key}:{os.getpid()}:end")

    record_route("stock.*", ordered=True, batch_size=3).behave = behave
    fire()
    with processes(4, lambda index: drain()) as workers:
        join(workers)
    open_by: dict[str, Any] = {}
    for effect in effects.all():
        key, pid, what = effect.split(":")
        if what == "begin":
            assert key not in open_by, f"{key} is worked on by {open_by[key]} and {pid}"
            open_by[key] = pid
        else:
            assert open_by.pop(key) == pid
