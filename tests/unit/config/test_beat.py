"""Beat sweeps in its own process, so that no message piles up while there is no worker."""

from __future__ import annotations

from typing import Any

import pytest
from celery.beat import ScheduleEntry
from celery.schedules import schedule
from django.conf import settings
from django.db import OperationalError
from django.utils.module_loading import import_string
from django_celery_beat.schedulers import DatabaseScheduler

from config.beat import Scheduler
from config.celery import app
from config.schedule import SCHEDULE
from core.events import sweep
from core.events.models import Duty

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


def test_every_other_task_is_sent(beat: Scheduler, sent: list[str]) -> None:
    """Only the sweep is special."""
    for entry in SCHEDULE:
        run(beat, entry.task)
    assert sorted(sent) == sorted(e.task for e in SCHEDULE if e.task != "events.sweep")


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
