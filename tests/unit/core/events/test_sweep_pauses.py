"""When the next sweep may run."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from core.events import EventSignal, sweep, wakeup
from core.events.models import Duty
from tests.unit.core.events.support import record_route

pytestmark = pytest.mark.django_db


def next_sweep_in() -> timedelta:
    """Return how far away the next sweep is."""
    return Duty.objects.get(name="sweep").until - timezone.now()


def test_a_broker_that_keeps_a_sweep_waiting_does_not_put_off_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A frozen broker costs the sweep its patience, but not the sweeps after it."""
    signal = EventSignal("order.paid")
    record_route(signal)
    signal.send(sender=None)
    now = time.monotonic()
    waited: list[float] = []

    def publish(queues: list[str]) -> bool:
        waited.append(60.0)
        return False

    monkeypatch.setattr(wakeup, "publish", publish)
    monkeypatch.setattr(sweep.time, "monotonic", lambda: now + sum(waited))
    assert sweep.sweep().woken == ["default"]
    assert waited
    assert next_sweep_in() < timedelta(seconds=1)


def test_what_could_not_be_sent_does_not_count_as_unanswered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long the broker is away, each sweep tries, so that its return is noticed at once."""
    signal = EventSignal("order.paid")
    record_route(signal)
    signal.send(sender=None)
    monkeypatch.setattr(wakeup, "publish", lambda queues: False)
    for _ in range(3):
        assert sweep.sweep().woken == ["default"]
        Duty.objects.update(until=timezone.now() - timedelta(seconds=1))


def test_a_sweep_that_had_to_wait_puts_off_the_next_by_seconds_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lock that somebody held for a minute does not switch the sweep off for twenty."""
    clock = iter([0.0, 60.0])
    monkeypatch.setattr(sweep.time, "monotonic", lambda: next(clock))
    assert sweep.sweep().ran
    assert timedelta(seconds=1) < next_sweep_in() < timedelta(seconds=10)
