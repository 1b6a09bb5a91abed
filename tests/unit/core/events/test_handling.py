"""Outcomes: what a handler can say, and what becomes of its deliveries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.events import (
    Backoff,
    Discard,
    Event,
    EventSignal,
    Retry,
    deliver_pending,
    delivery_died,
)
from core.events.models import Settlement
from core.events.state import State
from tests.unit.core.events.support import (
    deliveries,
    make_due,
    only_delivery,
    raising,
    record_route,
    rounds,
)

pytestmark = pytest.mark.django_db
EXACT = Backoff(first=8, factor=2, limit=60, jitter="none")


@pytest.fixture
def signal() -> EventSignal:
    """A signal to fire."""
    return EventSignal("order.paid", key="key", sensitive={"phone"})


@pytest.fixture
def deaths() -> Iterator[list[dict[str, Any]]]:
    """The deaths that were announced."""
    heard: list[dict[str, Any]] = []

    def hear(**arguments: Any) -> None:
        heard.append(arguments)

    delivery_died.connect(hear)
    yield heard
    delivery_died.disconnect(hear)


def seconds_until_due() -> float:
    """Return how long the one delivery still waits."""
    due = only_delivery().due_at
    assert due is not None
    return (due - timezone.now()).total_seconds()


def test_returning_settles(signal: EventSignal) -> None:
    """A handler that returns is done: the delivery leaves the hot table, the history has it."""
    record_route("order.*")
    signal.send(sender=None)
    assert deliver_pending() == {"route": {"done": 1}}
    assert deliveries() == []
    row = Settlement.objects.get()
    assert (row.route, row.outcome, row.count) == ("route", "done", 1)


@pytest.mark.parametrize("value", [False, 0, "error", ValueError("returned")], ids=repr)
def test_what_is_returned_does_not_matter(signal: EventSignal, value: Any) -> None:
    """Only an exception says anything else than done."""
    from core.events import registry

    registry.route("order.*", name="route")(lambda event: value)
    signal.send(sender=None)
    assert deliver_pending() == {"route": {"done": 1}}


def test_a_batch_size_of_one_gives_an_event_more_give_a_list(signal: EventSignal) -> None:
    """The handler's argument follows from the route, not from how much there is."""
    from core.events import registry

    given: list[Any] = []
    registry.route("order.*", name="one")(given.append)
    registry.route("order.*", name="many", batch_size=5)(given.append)
    signal.send(sender=None)
    deliver_pending()
    assert {type(argument) for argument in given} == {Event, list}


def test_batches_are_at_most_as_large_as_said(signal: EventSignal) -> None:
    """A claim may be larger than `batch_size`, the handler's list is not."""
    recorder = record_route("order.*", batch_size=4)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(10)])
    deliver_pending()
    assert recorder.batches() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


# -- Retry ----------------------------------------------------------------------------------


def test_retry_comes_again_then_and_is_no_failure(signal: EventSignal) -> None:
    """`Retry(after=...)` waits that long and counts as an attempt, not as a failure."""
    record_route("order.*").behave = raising(Retry(after=30))
    signal.send(sender=None)
    assert deliver_pending() == {"route": {"retried": 1}}
    delivery = only_delivery()
    assert (delivery.state, delivery.attempts, delivery.failures) == (State.WAITING, 1, 0)
    assert 25 < seconds_until_due() <= 31


def test_retry_takes_a_timedelta(signal: EventSignal) -> None:
    """A pause may be given either way."""
    record_route("order.*").behave = raising(Retry(after=timedelta(minutes=2)))
    signal.send(sender=None)
    deliver_pending()
    assert 110 < seconds_until_due() <= 121


def test_retry_without_a_time_follows_the_backoff(signal: EventSignal) -> None:
    """The route knows how long to wait when the handler does not say."""
    record_route("order.*", backoff=EXACT).behave = raising(Retry())
    signal.send(sender=None)
    deliver_pending()
    assert 5 < seconds_until_due() <= 8.5


def test_retry_never_uses_up_the_attempts(signal: EventSignal) -> None:
    """`max_attempts` counts failures only."""
    recorder = record_route("order.*", max_attempts=2)
    recorder.behave = raising(Retry(after=0))
    signal.send(sender=None)
    rounds(6)
    assert [event.attempt for event in recorder.events] == [1, 2, 3, 4, 5, 6]
    assert only_delivery().state == State.WAITING


@pytest.mark.parametrize("after", [-1, float("nan"), float("inf"), 10**10, timedelta(days=-1)])
def test_a_pause_that_cannot_be_meant_is_refused_by_value(after: Any) -> None:
    """The error names the value; in a handler it is a failure like any other."""
    with pytest.raises(ValueError, match="after="):
        Retry(after=after)


# -- Discard --------------------------------------------------------------------------------


def test_discard_settles_with_its_reason(signal: EventSignal) -> None:
    """What is discarded is settled as such, and why is kept."""
    record_route("order.*").behave = raising(Discard("customer is gone"))
    signal.send(sender=None)
    assert deliver_pending() == {"route": {"discarded": 1}}
    assert deliveries() == []
    row = Settlement.objects.get()
    assert (row.outcome, row.count, row.reason) == ("discarded", 1, "customer is gone")


def test_retry_and_discard_apply_to_the_whole_batch(signal: EventSignal) -> None:
    """They are about the batch, so it is not split."""
    recorder = record_route("order.*", batch_size=5)
    recorder.behave = raising(Retry(after=0))
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(3)])
    assert deliver_pending() == {"route": {"retried": 3}}
    recorder.behave = raising(Discard())
    assert rounds(1) == [{"route": {"discarded": 3}}]
    assert [len(call) for call in recorder.calls] == [3, 3]


# -- failure and death ----------------------------------------------------------------------


def test_a_failure_waits_for_its_backoff(signal: EventSignal) -> None:
    """Anything else that is raised is a failure: error kept, tried again later."""
    record_route("order.*", backoff=EXACT).behave = raising(ValueError("no stock"))
    signal.send(sender=None)
    assert deliver_pending() == {"route": {"failed": 1}}
    delivery = only_delivery()
    assert (delivery.state, delivery.attempts, delivery.failures) == (State.WAITING, 1, 1)
    assert delivery.error == "ValueError: no stock"
    assert delivery.failed_at is not None
    assert 5 < seconds_until_due() <= 8.5
    rounds(1)
    assert 13 < seconds_until_due() <= 16.5


def test_after_max_attempts_it_is_dead_and_kept(signal: EventSignal) -> None:
    """A dead delivery stays with its error and is not tried again by itself."""
    recorder = record_route("order.*", max_attempts=3)
    recorder.behave = raising(ValueError("no stock"))
    signal.send(sender=None)
    counts = rounds(4)
    assert counts == [{"route": {"failed": 1}}] * 2 + [{"route": {"dead": 1}}, {}]
    delivery = only_delivery()
    assert (delivery.state, delivery.attempts, delivery.failures) == (State.DEAD, 3, 3)
    assert delivery.error == "ValueError: no stock"
    assert [event.attempt for event in recorder.events] == [1, 2, 3]


def test_the_delivery_id_is_stable_over_all_attempts(signal: EventSignal) -> None:
    """It is the idempotency key for the outside world."""
    recorder = record_route("order.*")
    recorder.behave = raising(ValueError())
    signal.send(sender=None)
    rounds(3)
    recorder.behave = raising(Retry(after=0))
    rounds(2)
    assert len({event.delivery_id for event in recorder.events}) == 1
    assert len({event.id for event in recorder.events}) == 1


def test_a_death_is_announced(signal: EventSignal, deaths: list[dict[str, Any]]) -> None:
    """The plain Django signal `delivery_died` tells route, event, delivery and error."""
    recorder = record_route("order.*", max_attempts=2, name="shop.receipt")
    recorder.behave = raising(ValueError("no stock"))
    signal.send(sender=None, n=1)
    deliver_pending()
    assert deaths == []
    rounds(1)
    (death,) = deaths
    assert death["sender"] == "shop.receipt"
    assert death["event"].data == {"n": 1}
    assert death["delivery_id"] == recorder.events[0].delivery_id
    assert death["error"] == "ValueError: no stock"


def test_a_receiver_of_deaths_that_fails_does_no_harm(signal: EventSignal) -> None:
    """Who listens to deaths cannot stop deliveries."""

    def fail(**_: Any) -> None:
        raise RuntimeError("receiver")

    delivery_died.connect(fail)
    try:
        record_route("order.*", name="dying", max_attempts=1).behave = raising(ValueError())
        record_route("order.*", name="living")
        signal.send(sender=None)
        assert deliver_pending() == {"dying": {"dead": 1}, "living": {"done": 1}}
    finally:
        delivery_died.disconnect(fail)


def test_one_failing_route_leaves_the_others_alone(signal: EventSignal) -> None:
    """Only its own route is delayed, and is not retried on behalf of the others."""
    record_route("order.*", name="failing").behave = raising(ValueError())
    good = record_route("order.*", name="good")
    signal.send(sender=None)
    rounds(3)
    assert len(good.calls) == 1
    assert only_delivery().route == "failing"


class NoText(Exception):
    """An error that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("half a character \ud800"),
        ValueError("nul \x00 byte"),
        ValueError("x" * 100_000),
        NoText(),
        Discard("half \ud800 and nul \x00"),
        StopIteration(),
        RecursionError(),
        MemoryError(),
        AssertionError(),
        TimeoutError(),
        ExceptionGroup("several", [ValueError("one"), KeyError("two")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_are_hard_to_write_down(signal: EventSignal, error: Exception) -> None:
    """Whatever is raised can be stored, and the route's other deliveries go on."""

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == 1:
            raise error

    record_route("order.*").behave = behave
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(3)])
    (counts,) = deliver_pending().values()
    assert counts["done"] == 2
    assert counts.keys() - {"done"} in ({"failed"}, {"discarded"})
    for delivery in deliveries():
        assert len(delivery.error or "") <= 2000


def test_sensitive_values_stay_out_of_errors_and_logs(
    signal: EventSignal, caplog: pytest.LogCaptureFixture, deaths: list[dict[str, Any]]
) -> None:
    """An error that quotes a sensitive value is stored, logged and announced without it."""

    def behave(events: list[Event]) -> None:
        raise ValueError(f"cannot send to {events[0].data['phone']}")

    record_route("order.*", max_attempts=1).behave = behave
    with caplog.at_level(logging.DEBUG):
        signal.send(sender=None, phone="+4912345")
        deliver_pending()
    assert only_delivery().error == "ValueError: cannot send to ***"
    assert "+4912345" not in caplog.text
    assert "+4912345" not in deaths[0]["error"]


def test_a_failure_is_logged_once_with_its_traceback(
    signal: EventSignal, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells route, event, delivery and count, and where it happened."""
    record_route("order.*", name="shop.receipt", max_attempts=5).behave = raising(ValueError("no"))
    signal.send(sender=None)
    with caplog.at_level(logging.WARNING):
        deliver_pending()
    (record,) = [record for record in caplog.records if "shop.receipt" in record.getMessage()]
    message = record.getMessage()
    assert "failure 1 of 5" in message
    assert str(only_delivery()) in message
    assert "Traceback" in message


# -- attempts -------------------------------------------------------------------------------


def test_attempt_counts_handlings(signal: EventSignal) -> None:
    """`attempt` starts at 1 and counts failures and retries alike."""
    recorder = record_route("order.*")
    signal.send(sender=None)
    for error in (ValueError(), Retry(after=0), ValueError()):
        recorder.behave = raising(error)
        make_due()
        deliver_pending()
    recorder.behave = lambda events: None
    rounds(1)
    assert [event.attempt for event in recorder.events] == [1, 2, 3, 4]
