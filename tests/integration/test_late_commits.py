"""Late commits: rows that claims have gone past before anybody could see them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connections, transaction

from core.events import EventSignal, delivery, outbox
from core.events.conf import conf
from core.events.models import Delivery, EventRecord, RouteState
from core.events.routing import routing
from core.events.store import Scope, store_for
from tests.unit.core.events.support import record_route
from tests.unit.core.events.wiring import fresh_wiring

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True, available_apps=["core.events"]),
]

DEADLINE = 20


@pytest.fixture(autouse=True)
def _wiring() -> Iterator[None]:
    with fresh_wiring():
        yield


class LateTransaction(threading.Thread):
    """Fires at once and commits when it is told to."""

    def __init__(self, signal: EventSignal) -> None:
        super().__init__()
        self._signal = signal
        self.fired = threading.Event()
        self.commit = threading.Event()

    def run(self) -> None:
        try:
            with transaction.atomic():
                self._signal.send(sender=None, n=-1)
                self.fired.set()
                assert self.commit.wait(DEADLINE)
        finally:
            connections.close_all()


def _run(signal: EventSignal, name: str) -> None:
    """Fire late, and have the floor go past what was fired before it can be seen."""
    late = LateTransaction(signal)
    late.start()
    assert late.fired.wait(DEADLINE)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(1500)])
    while delivery.run_round(list(routing)).taken:
        pass
    store = store_for(conf.database)
    store.ensure_routes([name])
    for _ in range(2):
        store.raise_floors([name], from_start=True)
    assert RouteState.objects.get(name=name).floor > 1000
    late.commit.set()
    late.join(DEADLINE)


def test_a_late_commit_lowers_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who commits late makes sure itself that the next claim sees its deliveries."""
    monkeypatch.setattr(outbox, "_LATE", 0)
    signal = EventSignal("test.late")
    recorder = record_route(signal, name="late", batch_size=500)
    _run(signal, "late")
    delivery.run_round(list(routing))
    assert recorder.events[-1].data == {"n": -1}


def test_a_scan_from_the_start_finds_what_lies_below(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the committer died before it could lower the floor, the next thorough scan does."""
    monkeypatch.setattr(outbox, "_LATE", float("inf"))
    signal = EventSignal("test.late")
    record_route(signal, name="late", batch_size=500)
    _run(signal, "late")
    delivery.run_round(list(routing))
    assert Delivery.objects.count() == 1
    store_for(conf.database).raise_floors(["late"], from_start=True)
    delivery.run_round(list(routing))
    assert not Delivery.objects.exists()


def test_a_draining_worker_starts_behind_its_own_trail(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a backlog a claim begins where the process was a while ago."""
    monkeypatch.setattr("core.events.store.postgresql._TRAIL_SECONDS", 0)
    signal = EventSignal("test.late")
    record_route(signal, name="trail", batch_size=500)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(500)])
    delivery.run_round(list(routing))
    first = Delivery.objects.create(id=1, event=EventRecord.objects.earliest("id"), route="trail")
    delivery.run_round(list(routing), scope=Scope(thorough=False))
    assert Delivery.objects.filter(pk=first.pk).exists()
    delivery.run_round(list(routing), scope=Scope(thorough=True))
    assert not Delivery.objects.filter(pk=first.pk).exists()
