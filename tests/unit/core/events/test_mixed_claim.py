"""A claim of several routes with leases of their own: none runs out behind another's call."""

from __future__ import annotations

import secrets
import threading

import pytest

from core.events import Event, EventSignal, deliver_pending
from core.events.conf import conf
from core.events.models import Delivery
from core.events.routing import routing
from core.events.store import Scope, store_for
from core.events.sweep import reclaim
from tests.unit.core.events.support import (
    claim_elsewhere,
    committing,
    deliveries,
    let_workers_die,
    only_delivery,
    record_route,
    settled,
)

# With a lease of this many seconds, rows are held for 0.61 s.
SHORT = 0.1


def fire(number: int = 1) -> None:
    """Fire so many events, each with a key of its own."""
    signal = EventSignal("order.paid", key="n")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


def take(seconds: float) -> int:
    """Take so long, then sweep as another process would; return how many leases had run out."""
    threading.Event().wait(seconds)
    return reclaim().reclaimed


@committing
def test_a_short_lease_does_not_run_out_behind_a_long_call() -> None:
    """Routes with short leases have their turn first, so nobody becomes a suspect."""
    long = record_route("order.*", name="long", lease=60)
    short = record_route("order.*", name="short", lease=SHORT)

    def behave(events: list[Event]) -> None:
        take(0.7)

    long.behave = behave
    fire(2)
    assert deliver_pending() == {"long": {"done": 2}, "short": {"done": 2}}
    assert [event.attempt for event in short.events] == [1, 1]
    assert settled() == {"done": 4}


@committing
def test_what_is_done_is_settled_before_a_longer_call() -> None:
    """Else its lease would run out behind that call, and it would be handled again."""
    record_route("order.*", name="short", lease=SHORT)
    long = record_route("order.*", name="long", lease=60)
    seen = []

    def behave(events: list[Event]) -> None:
        seen.append(settled("short"))

    long.behave = behave
    fire()
    deliver_pending()
    assert seen == [{"done": 1}]


@committing
def test_calls_that_are_made_only_once_keep_the_leases_of_others() -> None:
    """Each of them renews its own row, and when it is time all the others as well."""
    once = record_route("order.*", name="once", lease=SHORT * 2, at_most_once=True)
    other = record_route("order.*", name="other", lease=SHORT * 3)
    lost = []

    def behave(events: list[Event]) -> None:
        lost.append(take(0.15))

    once.behave = behave
    fire(7)
    assert deliver_pending() == {"once": {"done": 7}, "other": {"done": 7}}
    assert {event.attempt for event in other.events} == {1}
    assert lost == [0] * 7


@committing
def test_what_was_lost_is_remembered_for_the_calls_to_come() -> None:
    """A row found lost at one renewal is not called after it, though no renewal is due again."""

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == 0:
            Delivery.objects.filter(event__key__in=["1", "3"]).update(token=1)
            threading.Event().wait(0.1)

    recorder = record_route("order.*", lease=1)
    recorder.behave = behave
    fire(5)
    assert deliver_pending() == {"route": {"done": 3}}
    assert recorder.values() == [0, 2, 4]
    assert {delivery.token for delivery in deliveries()} == {1}


@pytest.mark.django_db
def test_a_renewal_does_not_hide_that_a_suspect_is_handled_alone() -> None:
    """The mark that lets a death be charged stays until the row is settled or given back."""
    record_route("order.*")
    fire()
    claim_elsewhere()
    let_workers_die()
    store, token = store_for(conf.database), secrets.randbits(63)
    (row,) = store.claim_suspect(list(routing), token, Scope())
    assert store.renew([row.id], token, 60) == {row.id}
    assert only_delivery().started
