"""Coalescing: within a batch only the newest event of each key is handled."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from core.events import Event, EventSignal, deliver_pending, delivery_died
from core.events.models import Delivery
from core.events.state import State
from tests.unit.core.events.support import (
    Recorder,
    committing,
    deliveries,
    record_route,
    rounds,
    settled,
)

pytestmark = pytest.mark.django_db


def fire(*pairs: tuple[str | None, int]) -> None:
    """Fire events of these keys and numbers."""
    signal = EventSignal("stock.changed", key="key")
    signal.send_many(sender=None, payloads=[{"key": key, "n": n} for key, n in pairs])


def route(**options: Any) -> Recorder:
    """Return a coalescing route."""
    return record_route("stock.*", **{"coalesce": True, "batch_size": 10} | options)


@pytest.mark.parametrize("atomic", [False, True])
def test_only_the_newest_of_each_key_is_handled(atomic: bool) -> None:
    """The others are settled with it."""
    recorder = route(atomic=atomic)
    fire(("a", 1), ("b", 2), ("a", 3), ("a", 4), ("c", 5), ("b", 6))
    assert deliver_pending() == {"route": {"done": 6}}
    assert recorder.batches() == [[4, 5, 6]]
    assert settled() == {"done": 6}
    assert deliveries() == []


def test_events_without_a_key_are_not_coalesced() -> None:
    """Nothing says that one of them replaces another."""
    recorder = route()
    fire((None, 1), (None, 2), ("a", 3), ("a", 4))
    deliver_pending()
    assert sorted(recorder.values()) == [1, 2, 4]


@pytest.mark.parametrize("number", [11, 25, 300])
def test_no_call_ever_gets_two_events_of_one_key(number: int) -> None:
    """Also where a claim is larger than a batch."""
    recorder = route()
    fire(*[("a", n) for n in range(number)], *[(str(n), n) for n in range(25)])
    deliver_pending()
    for call in recorder.calls:
        keys = [event.key for event in call]
        assert len(keys) == len(set(keys)) <= 10
    assert number - 1 in recorder.values()
    assert settled() == {"done": number + 25}


def test_the_newest_is_the_last_that_is_handled() -> None:
    """Whatever the batches, the last call for a key had its newest event."""
    recorder = route(batch_size=3)
    fire(*[(key, n) for n in range(20) for key in "abcd"])
    deliver_pending()
    last = {event.key: event.data["n"] for event in recorder.events}
    assert last == dict.fromkeys("abcd", 19)


def test_the_others_share_a_failure() -> None:
    """What fails with the newest fails for all of its key; other keys are done."""
    recorder = route(max_attempts=2)

    def behave(events: list[Event]) -> None:
        if any(event.key == "a" for event in events):
            raise ValueError("a")

    recorder.behave = behave
    fire(("a", 1), ("a", 2), ("b", 3))
    assert deliver_pending() == {"route": {"done": 1, "failed": 2}}
    assert [delivery.failures for delivery in deliveries()] == [1, 1]
    assert rounds(1) == [{"route": {"dead": 2}}]
    assert {delivery.state for delivery in deliveries()} == {State.DEAD}


def test_each_death_is_announced_as_itself() -> None:
    """Deliveries that die together are announced each with its own event and id."""
    heard: list[Any] = []

    def hear(event: Event, delivery_id: str, **_: Any) -> None:
        heard.append((event.data["n"], delivery_id))

    delivery_died.connect(hear)
    try:
        route(max_attempts=1).behave = lambda events: 1 / 0
        fire(("a", 1), ("a", 2))
        deliver_pending()
    finally:
        delivery_died.disconnect(hear)
    assert sorted(n for n, _ in heard) == [1, 2]
    assert len({delivery_id for _, delivery_id in heard}) == 2


def test_ordered_and_coalesced_go_together() -> None:
    """A run of one key becomes one call with its newest event."""
    recorder = route(ordered=True)
    fire(*[("a", n) for n in range(8)], *[("b", n) for n in range(8)])
    deliver_pending()
    assert recorder.batches() == [[7, 7]]


@committing
@pytest.mark.parametrize("atomic", [False, True])
def test_older_ones_are_not_lost_with_the_newest(atomic: bool) -> None:
    """When another worker holds the newest by now, the newest of those left is handled."""

    def behave(events: list[Event]) -> None:
        if events[0].key == "x":
            newest = Delivery.objects.filter(event__key="a").latest("pk")
            Delivery.objects.filter(pk=newest.pk).update(token=1)
            threading.Event().wait(0.1)

    recorder = route(batch_size=2, lease=1, atomic=atomic)
    recorder.behave = behave
    fire(("x", 0), ("y", 0), ("a", 1), ("a", 2), ("a", 3))
    assert deliver_pending() == {"route": {"done": 4}}
    assert recorder.batches() == [[0, 0], [2]]
    (left,) = deliveries()
    assert left.token == 1
