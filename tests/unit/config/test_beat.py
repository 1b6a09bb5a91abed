"""What is due every few seconds runs in beat, so that no message piles up without a worker."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from celery.beat import ScheduleEntry
from celery.schedules import schedule
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone
from django.utils.module_loading import import_string
from django_celery_beat.schedulers import DatabaseScheduler

from config.beat import Scheduler
from config.celery import app
from config.schedule import SCHEDULE
from core.events import sweep
from core.events.models import Duty
from core.models import PlatformFeeConfig

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that beat sends."""
    names: list[str] = []

    def note(self: Scheduler, entry: ScheduleEntry, **options: Any) -> None:
        names.append(entry.task)

    monkeypatch.setattr(DatabaseScheduler, "apply_async", note)
    return names


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """A scheduler that reads and writes no entries: it would close the test's connection."""
    monkeypatch.setattr(Scheduler, "sync", lambda self: None)
    return Scheduler(app=app, lazy=True)


def run(beat: Scheduler, task: str) -> None:
    """Let the entry of this task be due once."""
    beat.apply_entry(ScheduleEntry(name=task, task=task, schedule=schedule(1), app=app))


def test_it_is_the_scheduler_that_beat_uses() -> None:
    """The settings name it as Celery reads it."""
    assert import_string(settings.CELERY_BEAT_SCHEDULER.replace(":", ".")) is Scheduler


def test_the_sweep_runs_in_beat_and_sends_nothing(beat: Scheduler, sent: list[str]) -> None:
    """However long no worker is there: the broker gets no message for it."""
    for _ in range(3):
        run(beat, "events.sweep")
    assert sent == []
    assert Duty.objects.filter(name="sweep").exists()


def test_a_planned_fee_takes_effect_in_beat(
    beat: Scheduler, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is due every ten seconds, and nobody needs a worker for it."""
    monkeypatch.setattr("config.beat.close_old_connections", lambda: None)
    due = timezone.now() - timedelta(seconds=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE platform_fee_config SET planned_percentage = 12.5, planned_from = %s", [due]
        )
    run(beat, "platform_fee.apply_planned_change")
    assert sent == []
    assert PlatformFeeConfig.objects.get().fee_percentage == Decimal("12.5")


def test_every_other_task_is_sent(beat: Scheduler, sent: list[str]) -> None:
    """Only what is due every few seconds is special."""
    here = {"events.sweep", "platform_fee.apply_planned_change"}
    tasks = {entry.task for entry in SCHEDULE} - here
    for task in tasks:
        run(beat, task)
    assert set(sent) == tasks


def test_a_planned_fee_that_fails_leaves_beat_running(
    beat: Scheduler,
    sent: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said once with its cause, and the next attempt is soon."""

    def unlucky() -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr("config.beat.close_old_connections", lambda: None)
    monkeypatch.setattr(PlatformFeeConfig, "apply_planned_change", unlucky)
    run(beat, "platform_fee.apply_planned_change")
    assert "applying a planned change of the fee failed" in caplog.text
    assert sent == []


def test_a_sweep_that_fails_leaves_beat_running(
    beat: Scheduler,
    sent: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The database may be away for a while; the next sweep is soon."""

    def unlucky() -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(sweep, "sweep", unlucky)
    run(beat, "events.sweep")
    assert "a sweep failed: OperationalError" in caplog.text
    run(beat, "events.prune")
    assert sent == ["events.prune"]
