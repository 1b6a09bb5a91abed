"""deliver_pending: what is due, here and now."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection
from django.test import TestCase

from core.events import Discard, Event, EventSignal, Retry, deliver_pending, registry
from core.events.models import RouteState
from tests.unit.core.events.support import deliveries, record_route, settled
from tests.unit.core.events.wiring import fresh_wiring

pytestmark = pytest.mark.django_db


@pytest.fixture
def signal() -> EventSignal:
    """A signal to fire."""
    return EventSignal("order.paid")


def test_nothing_to_do() -> None:
    """Without deliveries it returns nothing."""
    assert deliver_pending() == {}


def test_it_counts_per_route_and_outcome(signal: EventSignal) -> None:
    """The result says, for each route, how many deliveries came to what."""

    def behave(events: list[Event]) -> None:
        n = events[0].data["n"]
        if n == 1:
            raise Retry
        if n == 2:
            raise Discard("no")
        if n == 3:
            raise ValueError

    record_route("order.*", name="mixed").behave = behave
    record_route("order.*", name="plain")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(4)])
    assert deliver_pending() == {
        "mixed": {"done": 1, "retried": 1, "discarded": 1, "failed": 1},
        "plain": {"done": 4},
    }


def test_it_runs_what_handlers_cause(signal: EventSignal) -> None:
    """Deliveries that are caused in its course are run as well."""
    following = EventSignal("order.shipped")
    registry.route("order.paid", name="ship")(lambda event: following.send(sender=None))
    shipped = record_route("order.shipped", name="shipped")
    signal.send(sender=None)
    assert deliver_pending() == {"ship": {"done": 1}, "shipped": {"done": 1}}
    assert len(shipped.calls) == 1


def test_each_due_delivery_runs_at_most_once_per_call(signal: EventSignal) -> None:
    """A handler that always wants another try at once does not go round in circles."""
    recorder = record_route("order.*")
    recorder.behave = lambda events: (_ for _ in ()).throw(Retry(after=0))
    signal.send(sender=None)
    for attempt in (1, 2, 3):
        assert deliver_pending() == {"route": {"retried": 1}}
        assert recorder.events[-1].attempt == attempt
    assert len(recorder.calls) == 3


def test_failures_do_not_raise(signal: EventSignal) -> None:
    """A test reads the outcome from the counts."""
    record_route("order.*").behave = lambda events: 1 / 0
    signal.send(sender=None)
    assert deliver_pending() == {"route": {"failed": 1}}


def test_backoff_is_waited_for_unless_told_otherwise(signal: EventSignal) -> None:
    """`include_scheduled=True` takes those that wait for their backoff as well."""
    recorder = record_route("order.*")
    recorder.behave = lambda events: (_ for _ in ()).throw(Retry(after=3600))
    signal.send(sender=None)
    assert deliver_pending() == {"route": {"retried": 1}}
    assert deliver_pending() == {}
    recorder.behave = lambda events: None
    assert deliver_pending(include_scheduled=True) == {"route": {"done": 1}}


def test_paused_routes_are_skipped(signal: EventSignal) -> None:
    """A paused route's deliveries accumulate; the others go on."""
    recorder = record_route("order.*", name="paused")
    record_route("order.*", name="open")
    record_route("order.*", name="lane", ordered=True)
    RouteState.objects.create(name="paused", paused=True)
    RouteState.objects.create(name="lane", paused=True)
    signal.send(sender=None)
    assert deliver_pending() == {"open": {"done": 1}}
    assert deliver_pending(include_scheduled=True) == {}
    RouteState.objects.update(paused=False)
    assert deliver_pending() == {"paused": {"done": 1}, "lane": {"done": 1}}
    assert len(recorder.calls) == 1


def test_rate_and_concurrency_are_ignored(signal: EventSignal) -> None:
    """A test does not wait for limits."""
    record_route("order.*", rate="1/d", concurrency=1)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(60)])
    assert deliver_pending() == {"route": {"done": 60}}


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_it_runs_all_however_many_there_are(signal: EventSignal, batch_size: int) -> None:
    """More than one claim's worth is no reason to stop."""
    recorder = record_route("order.*", batch_size=batch_size)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(700)])
    assert deliver_pending() == {"route": {"done": 700}}
    assert sorted(recorder.values()) == list(range(700))
    assert max(map(len, recorder.calls)) <= batch_size


def test_a_database_error_in_a_handler_leaves_an_open_transaction_usable(
    signal: EventSignal,
) -> None:
    """Under TestCase everything runs in one transaction, which a handler's mistake must not end."""

    def collide(events: list[Event]) -> None:
        Group.objects.create(name="taken")

    record_route("order.*", name="failing").behave = collide
    record_route("order.*", name="other")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO auth_group (name) VALUES ('taken')")
    assert connection.in_atomic_block
    signal.send(sender=None)
    assert deliver_pending() == {"failing": {"failed": 1}, "other": {"done": 1}}
    (delivery,) = deliveries()
    assert IntegrityError.__name__ in (delivery.error or "")


class UnderTestCase(TestCase):
    """The way that most Django projects test."""

    def run(self, result: object = None) -> object:
        """Run with a wiring of its own."""
        with fresh_wiring():
            return super().run(result)  # type: ignore[arg-type] # what unittest passes

    def test_it_works_inside_the_tests_transaction(self) -> None:
        """Atomic, ordered, limited and batched routes all run without a commit."""
        for name, options in {
            "atomic": {"atomic": True, "batch_size": 5},
            "ordered": {"ordered": True},
            "limited": {"concurrency": 1},
            "once": {"at_most_once": True},
        }.items():
            record_route("order.*", name=name, **options)
        EventSignal("order.paid", key="n").send(sender=None, n=1)
        names = ("atomic", "limited", "once", "ordered")
        assert deliver_pending() == {name: {"done": 1} for name in names}
        assert settled() == {"done": 4}

    def test_an_atomic_handler_that_fails_leaves_no_effect(self) -> None:
        """Its writes are undone, those of the test stay."""

        def fail(events: list[Event]) -> None:
            Group.objects.create(name="half")
            raise ValueError

        Group.objects.create(name="mine")
        record_route("order.*", name="atomic", atomic=True).behave = fail
        EventSignal("order.paid").send(sender=None)
        assert deliver_pending() == {"atomic": {"failed": 1}}
        assert list(Group.objects.values_list("name", flat=True)) == ["mine"]
