"""Ordered routes: one after another per key, in the order fired, other keys in parallel."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import pytest
from django.db import connection

from core.events import (
    Backoff,
    Discard,
    Event,
    EventSignal,
    PartialFailure,
    Retry,
    deliver_pending,
)
from core.events.delivery import work
from core.events.inline import deliver as deliver_inline
from core.events.models import Delivery, EventRecord
from core.events.state import State
from tests.unit.core.events.support import (
    Recorder,
    claim_elsewhere,
    committing,
    deliveries,
    drain,
    let_workers_die,
    make_due,
    record_route,
    rounds,
    settled,
)

pytestmark = pytest.mark.django_db
SLOW = Backoff(first=60, jitter="none")
sizes = pytest.mark.parametrize("batch_size", [1, 4], ids=["single", "batch"])


def route(**options: Any) -> Recorder:
    """Return an ordered route."""
    return record_route("order.*", **{"ordered": True, "backoff": SLOW} | options)


def fire(*keys: str | None) -> None:
    """Fire an event for each of these keys, numbered in the order fired."""
    signal = EventSignal("order.paid", key="key")
    payloads = [{"key": key, "n": n} for n, key in enumerate(keys)]
    signal.send_many(sender=None, payloads=payloads)


def misbehave(recorder: Recorder, number: int, error: Exception) -> None:
    """Let the handler raise this whenever the event of this number is among those it gets."""

    def behave(events: list[Event]) -> None:
        if any(event.data["n"] == number for event in events):
            raise error

    recorder.behave = behave


@sizes
def test_the_order_fired_is_the_order_handled(batch_size: int) -> None:
    """Per key, over batches and claims."""
    recorder = route(batch_size=batch_size)
    fire(*"abcabcabc" * 20)
    drain()
    by_key: dict[str | None, list[int]] = {}
    for event in recorder.events:
        by_key.setdefault(event.key, []).append(event.data["n"])
    assert by_key.keys() == {"a", "b", "c"}
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    assert settled() == {"done": 180}


@sizes
def test_a_failure_blocks_its_key_and_no_other(batch_size: int) -> None:
    """The rest of its run goes back uncharged; other keys go on."""
    recorder = route(batch_size=batch_size)
    misbehave(recorder, 2, ValueError())
    fire("a", "b", "a", "b", "a", "b")
    deliver_pending()
    assert [(d.event.data.count("n"), d.state, d.failures) for d in deliveries()] == [
        (1, State.WAITING, 1),
        (1, State.READY, 0),
    ]
    assert settled() == {"done": 4}
    assert deliver_pending() == {}


@sizes
@pytest.mark.parametrize("error", [ValueError(), Retry(after=60)], ids=["failure", "retry"])
def test_a_waiting_delivery_keeps_its_place(batch_size: int, error: Exception) -> None:
    """When it comes back it is handled before those that were fired after it."""
    recorder = route(batch_size=batch_size)
    misbehave(recorder, 0, error)
    fire("a", "a", "a")
    deliver_pending()
    fire("a")
    assert deliver_pending() == {}
    recorder.calls.clear()
    recorder.behave = lambda events: None
    make_due()
    drain()
    assert recorder.values() == [0, 1, 2, 0]


def test_what_is_cut_off_keeps_its_place() -> None:
    """A delivery that was given back unhandled is not overtaken by one that waited behind it."""
    recorder = route(batch_size=2)
    recorder.behave = lambda events: (_ for _ in ()).throw(Retry(after=0))
    fire("a", "a")
    deliver_pending()
    recorder.behave = lambda events: (_ for _ in ()).throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        rounds(1)
    recorder.calls.clear()
    recorder.behave = lambda events: None
    rounds(2)
    assert recorder.values() == [0, 1]


def test_a_dead_delivery_that_is_taken_up_again_goes_first() -> None:
    """Of what waits in a key, the one that was fired first is handled first."""
    recorder = route(max_attempts=1)
    misbehave(recorder, 0, ValueError())
    fire("a")
    rounds(1)
    recorder.behave = lambda events: (_ for _ in ()).throw(Retry(after=0))
    fire(*"aa")
    deliver_pending()
    Delivery.objects.filter(state=State.DEAD).update(state=State.READY, failures=0)
    recorder.calls.clear()
    recorder.behave = lambda events: None
    rounds(3)
    assert [event.delivery_id for event in recorder.events] == sorted(
        event.delivery_id or "" for event in recorder.events
    )
    assert len(recorder.events) == 3


@sizes
def test_a_death_releases_the_key(batch_size: int) -> None:
    """A dead delivery does not hold up its successors."""
    recorder = route(batch_size=batch_size, max_attempts=2)
    misbehave(recorder, 0, ValueError())
    fire("a", "a", "a")
    rounds(1)
    assert settled() == {}
    rounds(1)
    drain()
    assert settled() == {"done": 2}
    assert [delivery.state for delivery in deliveries()] == [State.DEAD]


def test_a_discard_releases_the_key() -> None:
    """What is discarded is settled, so the next one's turn has come."""
    recorder = route()
    misbehave(recorder, 0, Discard())
    fire("a", "a")
    drain()
    assert settled() == {"discarded": 1, "done": 1}


@pytest.mark.parametrize("atomic", [False, True], ids=["plain", "atomic"])
def test_a_partial_failure_keeps_the_order(atomic: bool) -> None:
    """Those ahead of a failure in its key are done; on an atomic route those behind it wait."""
    recorder = route(batch_size=10, atomic=atomic)

    def behave(events: list[Event]) -> None:
        failed = {event.id: "no" for event in events if event.data["n"] == 2 and event.attempt == 1}
        if failed:
            raise PartialFailure(failed)

    recorder.behave = behave
    fire("a", "b", "a", "a", "b")
    deliver_pending()
    rounds(2)
    done = recorder.calls[0] if not atomic else [e for call in recorder.calls[1:] for e in call]
    numbers = [event.data["n"] for event in done if event.key == "a"]
    assert numbers == sorted(numbers)
    assert settled() == {"done": 5}


@sizes
def test_events_without_a_key_are_unordered(batch_size: int) -> None:
    """One of them that waits holds up none."""
    recorder = route(batch_size=batch_size)
    misbehave(recorder, 0, ValueError())
    fire(None, None, None)
    deliver_pending()
    assert settled() == {"done": 2}


def test_while_one_is_held_the_rest_of_its_key_is_not_claimed() -> None:
    """Another worker gets other keys only."""
    recorder = route()
    fire("a", "a", "b", "b")
    assert [row.key for row in claim_elsewhere("route", limit=1)] == ["a"]
    deliver_pending()
    assert [event.key for event in recorder.events] == ["b", "b"]


def test_a_claim_may_take_a_run_of_one_key() -> None:
    """A backlog of one key need not be claimed one by one."""
    route(batch_size=100)
    fire(*"aaaaa")
    assert [row.key for row in claim_elsewhere("route")] == list("aaaaa")


def test_a_run_that_a_dead_worker_held_stays_in_order() -> None:
    """Suspects are handled alone, first to last, and before what was fired later."""
    recorder = route(batch_size=10)
    fire("a", "a", "a")
    claim_elsewhere("route")
    let_workers_die()
    fire("a", "a")
    drain()
    assert recorder.values() == [0, 1, 2, 0, 1]
    assert [len(call) for call in recorder.calls[:3]] == [1, 1, 1]


def test_a_held_key_is_no_reason_to_hold_up_others_however_long_its_backlog() -> None:
    """The heads of other keys are found behind thousands of a blocked one."""
    recorder = route()
    fire(*["blocked"] * 3000, "free", "other")
    claim_elsewhere("route", limit=1)
    deliver_pending()
    assert [event.key for event in recorder.events] == ["free", "other"]


def test_a_blocked_backlog_does_not_hide_many_others() -> None:
    """All other keys are delivered, whatever their place in the queue."""
    recorder = route(batch_size=10)
    fire(*["blocked"] * 1000, *(str(n) for n in range(300)))
    claim_elsewhere("route", limit=1)
    drained = 0
    while counts := work(None, seconds=1).tally.as_dict():
        drained += counts["route"]["done"]
    assert drained == 300
    assert {event.key for event in recorder.events} == {str(n) for n in range(300)}


def seconds_to_drain(number: int) -> float:
    """Return how long a backlog of so many events of one key takes."""
    signal = EventSignal("order.paid", key="key")
    for start in range(0, number, 5000):
        payloads = [{"key": "one", "n": n} for n in range(start, min(start + 5000, number))]
        signal.send_many(sender=None, payloads=payloads)
    started = time.monotonic()
    drain(seconds=60)
    return time.monotonic() - started


@committing
def test_a_backlog_of_20000_on_one_key_drains_in_linear_time() -> None:
    """Claims do not get slower with what lies behind them."""
    recorder = route(batch_size=100)
    short = seconds_to_drain(2_000)
    recorder.calls.clear()
    long = seconds_to_drain(20_000)
    assert recorder.values() == list(range(20_000))
    assert long < 25 * max(short, 0.1)


@committing
@pytest.mark.postgres
def test_a_reader_that_holds_back_vacuum_does_not_slow_it_down() -> None:
    """What was settled and cannot be vacuumed yet is not scanned for each delivery."""
    recorder = route(batch_size=100)
    plain = seconds_to_drain(5_000)
    recorder.calls.clear()
    with closing(connection.copy("reader")) as reader, reader.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM signalbox_events_delivery")
        held = seconds_to_drain(20_000)
    assert recorder.values() == list(range(20_000))
    assert held < 12 * max(plain, 0.1)


def test_a_blocked_backlog_of_20000_costs_a_claim_milliseconds() -> None:
    """Looking for work past one long blocked key takes no longer than a moment."""
    route()
    signal = EventSignal("order.paid", key="key")
    for _ in range(4):
        signal.send_many(sender=None, payloads=[{"key": "one"}] * 5000)
    claim_elsewhere("route", limit=1)
    work(None, seconds=0)
    started = time.monotonic()
    for _ in range(10):
        assert not work(None, seconds=0).tally
    assert (time.monotonic() - started) / 10 < 0.25
    assert Delivery.objects.filter(state=State.READY).count() == 19_999


@pytest.mark.parametrize("inline", [False, True])
def test_what_was_given_back_still_holds_up_its_key(inline: bool) -> None:
    """What is not tried again in the same run is not overtaken in it either."""
    recorder = route(batch_size=2, atomic=True, max_attempts=1)

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == 0:
            raise PartialFailure({events[0].id: "no"})

    recorder.behave = behave
    fire("a", "a", "a")
    if inline:
        deliver_inline(list(EventRecord.objects.values_list("id", flat=True)))
    else:
        deliver_pending()
    assert recorder.batches() == [[0, 1]]
    deliver_pending()
    assert recorder.batches() == [[0, 1], [1, 2]]


def test_an_event_of_another_run_is_not_overtaken() -> None:
    """A delivery that takes only some events leaves those whose key has earlier ones."""
    recorder = route()
    fire("a", "b", "a")
    first, _, last = EventRecord.objects.order_by("id").values_list("id", flat=True)
    deliver_inline([last])
    assert recorder.batches() == []
    deliver_inline([first, last])
    assert recorder.batches() == [[0], [2]]
