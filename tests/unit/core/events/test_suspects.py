"""Suspects: what a dead worker held is claimed one at a time, and only the killer is charged."""

from __future__ import annotations

from typing import Any

import pytest

from core.events import Backoff, Event, EventSignal, deliver_pending, delivery_died
from core.events.delivery import work
from core.events.models import Delivery
from core.events.state import State
from core.events.sweep import reclaim
from tests.unit.core.events.support import (
    claim_elsewhere,
    claim_suspect_elsewhere,
    deliveries,
    drain,
    let_workers_die,
    make_due,
    only_delivery,
    record_route,
    rounds,
    settled,
)

pytestmark = pytest.mark.django_db
KINDS: dict[str, dict[str, Any]] = {
    "batch": {"batch_size": 10},
    "atomic": {"batch_size": 10, "atomic": True},
    "ordered": {"batch_size": 10, "ordered": True},
    "limited": {"batch_size": 10, "concurrency": 5},
    "single": {},
}
kinds = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)


def fire(number: int) -> None:
    """Fire so many events of different keys."""
    signal = EventSignal("order.paid", key="n")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])


@kinds
def test_a_death_with_several_in_hand_charges_nobody(options: dict[str, Any]) -> None:
    """They come back as suspects, due at once and uncharged."""
    record_route("order.*", **options)
    fire(5)
    assert len(claim_elsewhere()) == 5
    let_workers_die()
    for delivery in deliveries():
        assert (delivery.state, delivery.suspect) == (State.WAITING, True)
        assert (delivery.failures, delivery.error) == (0, None)


@kinds
def test_suspects_are_handled_one_at_a_time(options: dict[str, Any]) -> None:
    """However large the batches are otherwise."""
    recorder = record_route("order.*", **options)
    fire(5)
    claim_elsewhere()
    let_workers_die()
    fire(5)
    drain()
    alone = [call for call in recorder.calls if call[0].attempt == 2]
    assert sorted(map(len, alone)) == [1] * 5
    assert settled() == {"done": 10}


@kinds
def test_only_the_killer_is_charged(options: dict[str, Any]) -> None:
    """A death while one is handled alone is that one's failure, and waits for its backoff."""
    record_route("order.*", backoff=Backoff(first=50, jitter="none"), **options)
    fire(5)
    claim_elsewhere()
    let_workers_die()
    (killer,) = claim_suspect_elsewhere()
    let_workers_die()
    drain_all_but_one()
    delivery = only_delivery()
    assert delivery.pk == killer.id
    assert (delivery.state, delivery.failures, delivery.attempts) == (State.WAITING, 1, 2)
    assert "worker died" in (delivery.error or "")


def drain_all_but_one() -> None:
    """Deliver what is due."""
    for _ in range(20):
        work(None, seconds=0.05)


@kinds
def test_a_killer_ends_dead_not_in_a_crash_loop(options: dict[str, Any]) -> None:
    """After `max_attempts` deaths it is dead, with the reason, and announced."""
    heard: list[Any] = []

    def hear(event: Event, error: str, **_: Any) -> None:
        heard.append((event.data, error))

    record_route("order.*", max_attempts=3, **options)
    fire(1)
    claim_elsewhere()
    let_workers_die()
    delivery_died.connect(hear)
    try:
        for _ in range(3):
            make_due()
            assert len(claim_suspect_elsewhere()) == 1
            let_workers_die()
    finally:
        delivery_died.disconnect(hear)
    delivery = only_delivery()
    assert (delivery.state, delivery.failures) == (State.DEAD, 3)
    assert heard == [({"n": 0}, delivery.error)]
    rounds(1)
    assert only_delivery().state == State.DEAD


def test_neighbours_of_a_killer_are_all_done() -> None:
    """None of those that were in hand with it is lost or charged."""
    recorder = record_route("order.*", batch_size=10)
    recorder.behave = lambda events: (_ for _ in ()).throw(SystemError("killed"))
    fire(10)
    claim_elsewhere()
    let_workers_die()
    recorder.behave = lambda events: None
    drain()
    assert settled() == {"done": 10}


def test_a_suspect_that_fails_in_the_usual_way_is_charged_as_usual() -> None:
    """A suspicion is no verdict: errors count as they do for others."""
    recorder = record_route("order.*", batch_size=10, max_attempts=2)
    recorder.behave = lambda events: 1 / 0
    fire(2)
    claim_elsewhere()
    let_workers_die()
    assert deliver_pending() == {"route": {"failed": 2}}
    assert rounds(1) == [{"route": {"dead": 2}}]


def test_once_a_suspect_always_a_suspect() -> None:
    """It is handled alone from then on, also after other outcomes."""
    recorder = record_route("order.*", batch_size=10)
    fire(3)
    claim_elsewhere()
    let_workers_die()
    recorder.behave = lambda events: 1 / 0
    rounds(3)
    assert {len(call) for call in recorder.calls} == {1}


def test_a_shutdown_leaves_a_suspect_one() -> None:
    """What was cut off while it was handled alone is handled alone again."""
    recorder = record_route("order.*", batch_size=10)
    fire(2)
    claim_elsewhere()
    let_workers_die()
    recorder.behave = lambda events: (_ for _ in ()).throw(KeyboardInterrupt())
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            deliver_pending()
    recorder.behave = lambda events: None
    deliver_pending()
    assert {len(call) for call in recorder.calls} == {1}
    assert settled() == {"done": 2}


@pytest.mark.parametrize("options", [{}, {"ordered": True}, {"concurrency": 3}], ids=str)
def test_suspects_get_their_turn_under_steady_load(options: dict[str, Any]) -> None:
    """New events that keep coming do not starve those of a worker that died."""
    signal = EventSignal("order.paid", key="n")
    recorder = record_route("order.*", batch_size=10, **options)
    signal.send(sender=None, n="suspect")
    claim_elsewhere()
    let_workers_die()

    def keep_coming(events: list[Event]) -> None:
        if len(recorder.calls) < 50:
            signal.send(sender=None, n=len(recorder.calls))

    recorder.behave = keep_coming
    keep_coming([])
    drain()
    position = recorder.values().index("suspect")
    assert position < 25


@kinds
def test_many_suspects_are_back_soon_under_steady_load(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are taken back to back, not one for each round of the work that keeps coming."""
    # Their moment is long enough for all of them, however busy this machine is.
    monkeypatch.setattr("core.events.delivery._SUSPECTS_FOR", 60)
    recorder = record_route("order.*", **options)
    fire(20)
    claim_elsewhere()
    let_workers_die()
    signal = EventSignal("order.paid", key="n")

    def keep_coming(events: list[Event]) -> None:
        if len(recorder.calls) < 60:
            signal.send(sender=None, n=100 + len(recorder.calls))

    recorder.behave = keep_coming
    keep_coming([])
    drain()
    assert max(recorder.values().index(n) for n in range(20)) < 30
    assert {len(call) for call in recorder.calls if call[0].attempt == 2} == {1}


@kinds
def test_a_suspect_that_fails_is_not_taken_again_in_the_same_moment(
    options: dict[str, Any],
) -> None:
    """Without any backoff too, it lets the others have their turn first."""
    recorder = record_route("order.*", backoff=Backoff(first=0), **options)
    recorder.behave = lambda events: 1 / 0
    fire(3)
    claim_elsewhere()
    let_workers_die()
    assert deliver_pending() == {"route": {"failed": 3}}
    assert sorted(recorder.values()) == [0, 1, 2]


def test_others_are_woken_when_there_are_more_suspects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is handled alone, but workers that have nothing to do share them."""
    monkeypatch.setattr("core.events.delivery._SUSPECTS_FOR", 0)
    record_route("order.*", queue="audit")
    fire(3)
    claim_elsewhere()
    let_workers_die()
    woken: list[set[str]] = []
    work(None, seconds=1, on_full=woken.append)
    assert settled() == {"done": 3}
    assert woken == [{"audit"}]


def test_what_nobody_here_knows_waits_for_a_worker_that_does() -> None:
    """A sweep by code without the route charges nothing and loses nothing."""
    from core.events import registry

    recorder = record_route("order.*", batch_size=10)
    fire(3)
    claim_elsewhere()
    route = registry.unroute("route")
    let_workers_die()
    assert reclaim().reclaimed == 0
    assert {delivery.failures for delivery in deliveries()} == {0}
    assert deliver_pending() == {}
    registry.route("order.*", name=route.name, batch_size=10)(route.handler)
    drain()
    assert sorted(recorder.values()) == [0, 1, 2]


def test_reclaiming_twice_changes_nothing() -> None:
    """Two sweeps at once do no harm."""
    record_route("order.*")
    fire(3)
    claim_elsewhere()
    let_workers_die()
    before = list(Delivery.objects.order_by("pk").values())
    let_workers_die()
    assert list(Delivery.objects.order_by("pk").values()) == before
