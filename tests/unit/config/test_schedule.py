"""The schedule declared in code meets the one that people edit in the admin."""

import pytest
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from config.celery import app
from config.schedule import PREFIX, SCHEDULE, Daily, Entry, Every, belongs_into, synchronise

pytestmark = pytest.mark.django_db

SWEEP = Entry("events.sweep", Every(1), "default", "why")


def row(entry: Entry = SWEEP) -> PeriodicTask:
    return PeriodicTask.objects.get(name=entry.name)


def test_every_scheduled_task_exists() -> None:
    """Beat sends no task that no worker knows."""
    app.loader.import_default_modules()
    assert {entry.task for entry in SCHEDULE} <= set(app.tasks)


def test_migrate_brings_the_schedule() -> None:
    """A freshly migrated database holds every declared entry."""
    PeriodicTask.objects.all().delete()
    call_command("migrate", verbosity=0)
    names = set(PeriodicTask.objects.values_list("name", flat=True))
    assert {entry.name for entry in SCHEDULE} <= names


def test_a_declared_change_reaches_the_database() -> None:
    """A field that nobody touched follows the code."""
    synchronise([SWEEP])
    synchronise([Entry("events.sweep", Every(5), "audit", "why")])
    assert (row().interval.every, row().queue) == (5, "audit")


def test_a_kind_of_schedule_can_change() -> None:
    """An entry can go from a period to a time of day and back."""
    synchronise([SWEEP])
    synchronise([Entry("events.sweep", Daily(3, 30), "default", "why")])
    assert row().interval is None
    assert (row().crontab.hour, row().crontab.minute) == ("3", "30")
    synchronise([SWEEP])
    assert (row().crontab, row().interval.every) == (None, 1)


def test_what_a_person_changed_stays() -> None:
    """A field that a person changed outlives every later declaration; the others follow."""
    synchronise([SWEEP])
    task = row()
    task.interval = IntervalSchedule.objects.create(every=30, period=IntervalSchedule.SECONDS)
    task.enabled = False
    task.save()
    synchronise([Entry("events.sweep", Every(2), "cache", "why")])
    synchronise([Entry("events.sweep", Daily(1, 0), "audit", "why")])
    task = row()
    assert (task.interval.every, task.crontab, task.enabled, task.queue) == (
        30,
        None,
        False,
        "audit",
    )


def test_a_person_who_returns_to_the_declared_value_gives_the_field_back() -> None:
    """A field that equals its last declaration counts as untouched."""
    synchronise([SWEEP])
    PeriodicTask.objects.filter(name=SWEEP.name).update(queue="cache")
    synchronise([SWEEP])
    assert row().queue == "cache"
    PeriodicTask.objects.filter(name=SWEEP.name).update(queue="default")
    synchronise([Entry("events.sweep", Every(1), "logs", "why")])
    assert row().queue == "logs"


def test_an_entry_whose_description_was_rewritten_belongs_to_the_person() -> None:
    """Without a trace of the last declaration nothing is overwritten."""
    synchronise([SWEEP])
    PeriodicTask.objects.filter(name=SWEEP.name).update(description="mine")
    synchronise([Entry("events.sweep", Every(9), "logs", "why")])
    assert (row().interval.every, row().queue) == (1, "default")


def test_removed_entries_go_and_foreign_ones_stay() -> None:
    """Only names with the code's prefix are ever removed."""
    every = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.DAYS)
    PeriodicTask.objects.create(name="a person's", task="x", interval=every)
    synchronise([SWEEP])
    synchronise([])
    names = set(PeriodicTask.objects.values_list("name", flat=True))
    assert "a person's" in names
    assert not any(name.startswith(PREFIX) for name in names)


def test_beat_hears_of_changes_and_only_of_changes() -> None:
    """A running beat reads the schedule again when, and only when, something changed."""
    synchronise([SWEEP])
    before = PeriodicTasks.last_change()
    synchronise([SWEEP])
    assert PeriodicTasks.last_change() == before
    synchronise([])
    assert PeriodicTasks.last_change() > before


def test_only_the_database_of_beat_gets_the_schedule() -> None:
    """Migrating a second database leaves beat's alone."""
    assert belongs_into("default")
    assert not belongs_into("other")
