"""Stored versions of a payload, and how they become the current one."""

from __future__ import annotations

from typing import Any

import pytest

from core.events import EventSignal, deliver_pending
from core.events.declarations import declared
from core.events.state import State
from tests.unit.core.events.support import Recorder, only_delivery, record_route, settled

pytestmark = pytest.mark.django_db


def stored(version: int, **payload: Any) -> Recorder:
    """Record an event of `order.paid` in this version; its declaration is gone afterwards."""
    recorder = record_route("order.*", max_attempts=2)
    EventSignal("order.paid", version=version).send(sender=None, **payload)
    declared.forget("order.paid")
    return recorder


def test_an_older_version_is_brought_up_to_date() -> None:
    """`upcast(data, version)` turns what was stored into what the code expects."""
    recorder = stored(1, cents=250)

    def upcast(data: dict[str, Any], version: int) -> dict[str, Any]:
        return {"euros": data["cents"] / 100, "was": version}

    signal = EventSignal("order.paid", version=3, upcast=upcast)
    assert deliver_pending() == {"route": {"done": 1}}
    (event,) = recorder.events
    assert event.data == {"euros": 2.5, "was": 1}
    assert event.version == signal.version


def test_the_current_version_is_left_alone() -> None:
    """`upcast` is not asked about a payload that is current."""
    recorder = stored(2, n=1)
    _signal = EventSignal("order.paid", version=2, upcast=lambda data, version: {"n": 99})
    deliver_pending()
    assert recorder.values() == [1]


def expect_failure(recorder: Recorder, message: str) -> None:
    """Check that the delivery failed with this message and without a call, and can be repeated."""
    assert deliver_pending() == {"route": {"failed": 1}}
    delivery = only_delivery()
    assert delivery.state == State.WAITING
    assert delivery.failures == 1
    assert message in (delivery.error or "")
    assert "order.paid" in (delivery.error or "")
    assert recorder.calls == []


def test_an_older_version_without_upcast_fails_clearly() -> None:
    """The error names the signal, both versions and what is missing."""
    recorder = stored(1, n=1)
    _signal = EventSignal("order.paid", version=2)
    expect_failure(recorder, "upcast")
    assert "1" in (only_delivery().error or "")


def test_a_newer_version_fails_clearly() -> None:
    """Code that was rolled back does not guess at what newer code wrote."""
    recorder = stored(3, n=1)
    _signal = EventSignal("order.paid", version=2)
    expect_failure(recorder, "version 3")


def test_an_upcast_that_fails_is_the_deliverys_failure() -> None:
    """An error in `upcast`, or a wrong answer, is kept like a handler's."""
    recorder = stored(1, n=1)

    def upcast(data: dict[str, Any], version: int) -> dict[str, Any]:
        raise KeyError("order.paid lost its n")

    _signal = EventSignal("order.paid", version=2, upcast=upcast)
    expect_failure(recorder, "KeyError")


def test_an_upcast_must_return_a_dict() -> None:
    """The error says what came back instead."""
    recorder = stored(1, n=1)
    _signal = EventSignal("order.paid", version=2, upcast=lambda data, version: None)  # type: ignore[arg-type,return-value] # what is tested
    expect_failure(recorder, "NoneType")


def test_an_event_of_a_signal_that_is_no_longer_declared_fails_clearly() -> None:
    """Its delivery is kept with an error that names it and the way out."""
    recorder = stored(1, n=1)
    expect_failure(recorder, "no signal is declared")
    assert "discard" in (only_delivery().error or "")


def test_it_is_delivered_once_it_is_declared_again() -> None:
    """Nothing is lost by a declaration that was missing for a while."""
    recorder = stored(1, n=1)
    deliver_pending()
    _signal = EventSignal("order.paid")
    assert deliver_pending(include_scheduled=True) == {"route": {"done": 1}}
    assert recorder.values() == [1]
    assert settled() == {"done": 1}


def test_one_unreadable_event_leaves_its_neighbours_alone() -> None:
    """A batch is handled without the events that cannot be read."""
    recorder = record_route("*", batch_size=10)
    kept = EventSignal("order.kept")
    kept.send(sender=None, n=1)
    EventSignal("order.gone").send(sender=None, n=2)
    declared.forget("order.gone")
    kept.send(sender=None, n=3)
    assert deliver_pending() == {"route": {"done": 2, "failed": 1}}
    assert recorder.batches() == [[1, 3]]
