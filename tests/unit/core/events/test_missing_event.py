"""A delivery whose event was deleted by hand ends visibly; nothing waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from core.events import EventSignal, deliver_pending, delivery_died
from core.events.interventions import discard, retry
from core.events.models import EventRecord
from core.events.selection import Selection
from core.events.state import State
from core.events.sweep import reclaim
from tests.unit.core.events.support import (
    claim_elsewhere,
    claim_suspect_elsewhere,
    deliveries,
    expire_leases,
    let_workers_die,
    only_delivery,
    record_route,
    settled,
)

pytestmark = pytest.mark.django_db
kinds = pytest.mark.parametrize(
    "options", [{}, {"ordered": True}, {"concurrency": 2}, {"at_most_once": True}], ids=str
)


def fire(number: int) -> None:
    """Fire so many events of one key."""
    signal = EventSignal("order.paid", key="shop")
    signal.send_many(sender=None, payloads=[{"n": n, "shop": 1} for n in range(number)])


def delete_event(n: int) -> None:
    """Delete an event as a person with a database shell would."""
    event = deliveries()[n].event_id
    EventRecord.objects.filter(pk=event)._raw_delete("default")


@kinds
def test_it_is_dead_with_the_reason_and_the_rest_is_done(options: dict[str, Any]) -> None:
    """No claim can hand it out, so the sweep buries it instead of leaving it leased for ever."""
    heard: list[Any] = []

    def hear(**named: Any) -> None:
        heard.append(named)

    recorder = record_route("order.*", **options)
    fire(3)
    delete_event(1)
    delivery_died.connect(hear)
    try:
        deliver_pending()
        expire_leases()
        swept = reclaim()
        deliver_pending()
    finally:
        delivery_died.disconnect(hear)
    assert (swept.reclaimed, swept.dead) == (1, 1)
    assert recorder.values() == [0, 2]
    assert settled() == {"done": 2}
    delivery = only_delivery()
    assert (delivery.state, delivery.token) == (State.DEAD, None)
    assert "its event is gone from the database" in (delivery.error or "")
    # There is no event to announce.
    assert heard == []


def test_it_ends_too_when_the_event_went_while_it_was_held() -> None:
    """Whoever held it has died; the suspect has nothing to be handled with."""
    record_route("order.*")
    fire(1)
    claim_elsewhere()
    let_workers_die()
    delete_event(0)
    assert claim_suspect_elsewhere() == []
    let_workers_die()
    assert only_delivery().state == State.DEAD


def test_it_can_be_discarded_and_a_retry_ends_the_same_way() -> None:
    """A person decides, as about any dead delivery."""
    record_route("order.*")
    fire(1)
    delete_event(0)
    claim_elsewhere()
    let_workers_die()
    assert retry(Selection()).total == 1
    assert claim_elsewhere() == []
    let_workers_die()
    assert only_delivery().state == State.DEAD
    assert discard(Selection()).total == 1
    assert deliveries() == []


def test_many_of_them_do_not_keep_the_sweep_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many come first, the leases behind them are taken back as well."""
    monkeypatch.setattr("core.events.sweep._BATCH", 2)
    record_route("order.*", batch_size=10)
    fire(6)
    for n in range(4):
        delete_event(n)
    claim_elsewhere()
    let_workers_die()
    states = [delivery.state for delivery in deliveries()]
    assert states == [State.DEAD] * 4 + [State.WAITING] * 2
