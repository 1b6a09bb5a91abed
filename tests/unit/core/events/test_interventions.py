"""Retry, discard, pause and resume."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from core.events import (
    Event,
    EventSignal,
    Retry,
    UndeclaredEvent,
    UnknownRoute,
    deliver_pending,
    registry,
)
from core.events import interventions as module
from core.events.interventions import discard, pause, resume, retry
from core.events.models import Delivery, RouteState, Settlement
from core.events.selection import Selection
from core.events.state import State

from .support import Recorder, deliveries, expire_leases, only_delivery, record_route, settled

pytestmark = pytest.mark.django_db
pytest_plugins = ["core.events.pytest_plugin"]


@pytest.fixture
def paid() -> EventSignal:
    """A signal whose events are keyed by `order`."""
    return EventSignal("order.paid", key="order")


def fail(events: list[Event]) -> None:
    """Fail as a handler does."""
    raise ValueError("no")


def dead_route(signal: EventSignal, name: str = "route", **options: object) -> Recorder:
    """Register a route whose deliveries die at their first failure."""
    calls = record_route(signal, name=name, max_attempts=1, **options)
    calls.behave = fail
    return calls


def test_retry_brings_the_dead_back(paid: EventSignal) -> None:
    """A retried delivery keeps its id and its attempts; its failures are forgiven."""
    calls = dead_route(paid)
    paid.send(None)
    deliver_pending()
    assert only_delivery().state == State.DEAD
    calls.behave = lambda events: None
    assert retry(Selection()).as_dict() == {"total": 1, "routes": {"route": 1}, "left_out": {}}
    delivery = only_delivery()
    assert (delivery.state, delivery.failures, delivery.attempts) == (State.READY, 0, 1)
    assert deliver_pending() == {"route": {"done": 1}}
    first, second = calls.events
    assert first.delivery_id == second.delivery_id
    assert (first.attempt, second.attempt) == (1, 2)


def test_retry_does_not_wait_for_the_backoff(paid: EventSignal) -> None:
    """Deliveries that wait for their time are due at once."""
    calls = record_route(paid)

    def later(events: list[Event]) -> None:
        raise Retry(after=3600)

    calls.behave = later
    paid.send(None)
    deliver_pending()
    assert deliver_pending() == {}
    calls.behave = lambda events: None
    assert retry(Selection()).total == 1
    assert deliver_pending() == {"route": {"done": 1}}


def test_retry_leaves_what_is_ready_or_held(paid: EventSignal) -> None:
    """Deliveries that are ready or under lease are not a matter of retrying."""
    record_route(paid)
    paid.send_many(None, [{}, {}])
    Delivery.objects.filter(pk=deliveries()[0].pk).update(state=State.LEASED, token=7)
    assert retry(Selection()).total == 0
    assert only(State.LEASED).token == 7


def only(state: State) -> Delivery:
    """Return the one delivery in this state."""
    return Delivery.objects.get(state=state)


def test_retried_suspects_stay_alone(paid: EventSignal) -> None:
    """A delivery under suspicion of killing its worker is still claimed alone after a retry."""
    calls = record_route(paid, batch_size=10)
    paid.send_many(None, [{"n": 0}, {"n": 1}])
    killer = deliveries()[0]
    Delivery.objects.filter(pk=killer.pk).update(state=State.DEAD, suspect=True, failures=25)
    assert retry(Selection()).total == 1
    assert Delivery.objects.get(pk=killer.pk).suspect
    deliver_pending()
    assert sorted(calls.batches()) == [[0], [1]]


def test_at_most_once_is_retried_only_by_name(paid: EventSignal) -> None:
    """What may have happened is repeated only for a route that is named, not for a glob."""
    dead_route(paid, name="shop.sms", at_most_once=True)
    paid.send(None)
    deliver_pending()
    for routes in ([], ["shop.*"]):
        done = retry(Selection(routes=routes))
        assert (done.total, done.left_out) == (0, {"shop.sms": "at_most_once"})
    assert retry(Selection(routes=["shop.sms"])).total == 1


def test_left_out_names_only_routes_with_something_to_retry(paid: EventSignal) -> None:
    """A route that has nothing to retry is not reported as left out."""
    record_route(paid, name="shop.sms", at_most_once=True)
    assert retry(Selection()).left_out == {}


def test_routes_without_code_are_retried_only_by_name(paid: EventSignal) -> None:
    """Whether a route that is gone may be repeated is unknown, so it has to be named."""
    dead_route(paid, name="gone")
    paid.send(None)
    deliver_pending()
    registry.unroute("gone")
    assert list(retry(Selection()).left_out) == ["gone"]
    assert retry(Selection(routes=["gone"])).total == 1


def test_selections(paid: EventSignal) -> None:
    """Routes, events and times narrow what is retried."""
    refunded = EventSignal("order.refunded")
    for name in ("a", "b"):
        dead_route(paid, name=name)
        dead_route(refunded, name=f"{name}.refund")
    paid.send(None)
    refunded.send(None)
    deliver_pending()
    soon = timezone.now() + timedelta(minutes=1)
    ago = timezone.now() - timedelta(minutes=1)
    assert retry(Selection(since=soon), dry_run=True).total == 0
    assert retry(Selection(until=ago), dry_run=True).total == 0
    assert retry(Selection(since=ago, until=soon), dry_run=True).total == 4
    assert retry(Selection(events=["*.refunded"]), dry_run=True).routes == {
        "a.refund": 1,
        "b.refund": 1,
    }
    assert retry(Selection(routes=["a*"], events=["order.paid"])).routes == {"a": 1}
    assert retry(Selection(ids=[only(State.READY).pk])).total == 0


@pytest.mark.parametrize("act", [retry, discard])
def test_unknown_names_are_refused(paid: EventSignal, act: object) -> None:
    """A name that matches nothing raises, with the nearest one that exists."""
    record_route(paid)
    with pytest.raises(UnknownRoute, match="did you mean 'route'"):
        act(Selection(routes=["rote"]))  # type: ignore[operator]  # one of two functions
    with pytest.raises(UndeclaredEvent, match=r"did you mean 'order\.paid'"):
        act(Selection(events=["order.piad"]))  # type: ignore[operator]  # one of two functions


def test_dry_runs_change_nothing(paid: EventSignal) -> None:
    """A dry run counts per route, and every row stays as it is."""
    dead_route(paid)
    paid.send(None)
    deliver_pending()
    before = Delivery.objects.values().get()
    assert retry(Selection(), dry_run=True).routes == {"route": 1}
    assert discard(Selection(), dry_run=True).routes == {"route": 1}
    assert pause(Selection(), dry_run=True).changed == ["route"]
    assert Delivery.objects.values().get() == before
    assert not RouteState.objects.filter(paused=True).exists()


def test_works_in_batches(paid: EventSignal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are changed a batch at a time, with progress after each."""
    monkeypatch.setattr(module, "_BATCH", 2)
    dead_route(paid)
    paid.send_many(None, [{}] * 5)
    deliver_pending()
    seen: list[tuple[int, int | None]] = []
    retry(Selection(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert discard(Selection()).total == 5


def test_discard_settles_with_a_reason(paid: EventSignal) -> None:
    """Discarded deliveries are gone, and the history has the events and the reason."""
    dead_route(paid)
    record_route(paid, name="ready")
    calls = record_route(paid, name="waiting")

    def later(events: list[Event]) -> None:
        raise Retry(after=3600)

    calls.behave = later
    pause(Selection(routes=["ready"]))
    paid.send(None)
    deliver_pending()
    assert discard(Selection(), reason="wrong order").routes == {
        "ready": 1,
        "route": 1,
        "waiting": 1,
    }
    assert deliveries() == []
    history = list(Settlement.objects.values_list("route", "outcome", "reason", "count"))
    assert sorted(history) == [
        (name, "discarded", "wrong order", 1) for name in ("ready", "route", "waiting")
    ]


def test_discard_never_touches_what_is_held(paid: EventSignal) -> None:
    """A delivery under lease is left to its worker."""
    record_route(paid)
    paid.send(None)
    Delivery.objects.update(state=State.LEASED, token=7)
    assert discard(Selection(routes=["route"])).total == 0
    expire_leases()
    assert deliver_pending() == {"route": {"done": 1}}


def test_discard_empties_routes_whose_code_is_gone(paid: EventSignal) -> None:
    """The deliveries of a route that is not registered can be discarded by its name."""
    record_route(paid, name="gone")
    paid.send(None)
    registry.unroute("gone")
    assert discard(Selection(routes=["gone"])).routes == {"gone": 1}
    assert settled("gone") == {"discarded": 1}


def test_discard_frees_the_key(paid: EventSignal) -> None:
    """On an ordered route, the next of the key goes on once the one ahead is discarded."""
    calls = record_route(paid, ordered=True)
    calls.behave = fail
    paid.send_many(None, [{"n": 0, "order": "A"}, {"n": 1, "order": "A"}])
    deliver_pending()
    calls.behave = lambda events: None
    assert deliver_pending() == {}
    discard(Selection(), states=[State.WAITING])
    assert deliver_pending() == {"route": {"done": 1}}
    assert calls.values() == [0, 1]


def test_retried_deliveries_keep_the_order_of_their_key(paid: EventSignal) -> None:
    """Retried together, the dead of one key are handled in the order fired."""
    calls = dead_route(paid, ordered=True)
    paid.send_many(None, [{"n": n, "order": "A"} for n in range(5)])
    while deliver_pending():
        pass
    assert {delivery.state for delivery in deliveries()} == {State.DEAD}
    calls.calls.clear()
    calls.behave = lambda events: None
    retry(Selection())
    while deliver_pending():
        pass
    assert calls.values() == [0, 1, 2, 3, 4]


def test_retry_lowers_the_floor(paid: EventSignal) -> None:
    """A retried delivery is claimed at once, though the claims had left it behind."""
    calls = dead_route(paid)
    paid.send(None)
    deliver_pending()
    calls.behave = lambda events: None
    far = only_delivery().pk + 10_000
    RouteState.objects.update_or_create(name="route", defaults={"floor": far, "floor_seen": far})
    retry(Selection())
    assert deliver_pending() == {"route": {"done": 1}}


def test_paused_routes_accumulate_and_resume(paid: EventSignal) -> None:
    """A paused route is not claimed and loses nothing; the others go on."""
    record_route(paid, name="a")
    record_route(paid, name="b")
    assert pause(Selection(routes=["a"])).as_dict() == {"changed": ["a"], "unchanged": []}
    assert pause(Selection(routes=["a"])).as_dict() == {"changed": [], "unchanged": ["a"]}
    paid.send(None)
    assert deliver_pending() == {"b": {"done": 1}}
    assert resume(Selection(routes=["*"])).as_dict() == {"changed": ["a"], "unchanged": ["b"]}
    assert deliver_pending() == {"a": {"done": 1}}


@pytest.mark.parametrize("act", [pause, resume])
def test_pausing_an_unknown_route_is_refused(paid: EventSignal, act: object) -> None:
    """A typing error does not pause or resume something that does not exist."""
    record_route(paid)
    with pytest.raises(UnknownRoute, match="did you mean 'route'"):
        act(Selection(routes=["ruote"]))  # type: ignore[operator]  # one of two functions
    assert not RouteState.objects.exists()


def test_a_route_without_code_can_be_paused(paid: EventSignal) -> None:
    """Deliveries name a route that may come back with the next deployment, paused by then."""
    record_route(paid, name="gone")
    paid.send(None)
    registry.unroute("gone")
    assert pause(Selection(routes=["gone"])).changed == ["gone"]


def test_wakes_the_queues(
    paid: EventSignal, wakeups: list[set[str]], django_capture_on_commit_callbacks: object
) -> None:
    """Retry and resume wake the queues of what they changed, and only those."""
    calls = dead_route(paid, name="a", queue="audit")
    record_route(paid, name="b", queue="cache")
    paid.send(None)
    deliver_pending()
    pause(Selection(routes=["b"]))
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]  # a fixture
        retry(Selection())
        resume(Selection())
    assert wakeups == [{"audit"}, {"cache"}]
    assert calls.calls
