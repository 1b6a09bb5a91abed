"""What beat runs, declared here and carried into django-celery-beat's database after `migrate`.

A person may change an entry in the admin. Each field is therefore merged three ways: between what
the code declared last (kept in the entry's description), what it declares now, and what the
database holds. A field that a person changed stays; a field that nobody touched follows the code.
Deleting an entry gives it back to the code; to switch it off, disable it.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import router
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

PREFIX = "signalbox: "
DECLARED = re.compile(r"^Declared in code: (\{.*\})$", re.MULTILINE)


@dataclass(frozen=True)
class Every:
    """A period in seconds."""

    seconds: int


@dataclass(frozen=True)
class Daily:
    """A time of day, UTC."""

    hour: int
    minute: int


@dataclass(frozen=True)
class Entry:
    """One task that beat sends, and why."""

    task: str
    when: Every | Daily
    queue: str
    why: str

    @property
    def name(self) -> str:
        """Return the entry's name in the database; the prefix marks it as the code's own."""
        return PREFIX + self.task

    def declaration(self) -> dict[str, Any]:
        """Return the values that the code wants, as the database would show them."""
        return {
            "task": self.task,
            "queue": self.queue,
            "enabled": True,
            "interval": _interval(self.when) if isinstance(self.when, Every) else None,
            "crontab": _crontab(self.when) if isinstance(self.when, Daily) else None,
        }


SCHEDULE = (
    Entry("events.sweep", Every(1), "default", "Wakes the queues that have due deliveries."),
    Entry("events.prune", Daily(3, 30), "default", "Removes events past their retention."),
    Entry("logs.prune", Daily(3, 45), "logs", "Removes request logs past their retention."),
    Entry("cache.warm", Every(3000), "cache", "Computes hot values before the old ones expire."),
    Entry(
        "platform_fee.apply_planned_change",
        Every(10),
        "default",
        "Records and announces a planned change of the fee; readers go by the time.",
    ),
)


def belongs_into(using: str) -> bool:
    """Tell whether this is the database that beat reads, and not another one being migrated."""
    return using == router.db_for_write(PeriodicTask)


def synchronise(entries: Iterable[Entry] = SCHEDULE, *, using: str = "default") -> None:
    """Create, update and remove the code's own entries, and let a running beat know."""
    entries = list(entries)
    tasks = PeriodicTask.objects.using(using)
    stale = tasks.filter(name__startswith=PREFIX).exclude(name__in=[e.name for e in entries])
    changed = bool(stale.delete()[0])
    existing = {task.name: task for task in tasks.filter(name__startswith=PREFIX)}
    for entry in entries:
        task = existing.get(entry.name) or PeriodicTask(name=entry.name)
        changed = _apply(entry, task, using) or changed
    if changed:
        PeriodicTasks.update_changed()


def _apply(entry: Entry, task: PeriodicTask, using: str) -> bool:
    """Merge the declaration into the row; tell whether that changed anything."""
    present = _present(task)
    wanted = entry.declaration()
    before = wanted if task.pk is None else _declared_before(task)
    merged = {
        field: wanted[field] if task.pk is None or present[field] == before.get(field) else value
        for field, value in present.items()
    }
    # The two kinds of schedule exclude each other: they are merged as one.
    if task.pk and any(present[kind] != before.get(kind) for kind in ("interval", "crontab")):
        merged |= {kind: present[kind] for kind in ("interval", "crontab")}
    description = _description(entry, wanted)
    if task.pk and merged == present and task.description == description:
        return False
    task.task, task.queue, task.enabled = merged["task"], merged["queue"], merged["enabled"]
    task.interval = _interval_row(merged["interval"], task, using)
    task.crontab = _crontab_row(merged["crontab"], task, using)
    task.description = description
    task.save(using=using)
    return True


def _present(task: PeriodicTask) -> dict[str, Any]:
    interval, crontab = task.interval, task.crontab
    return {
        "task": task.task,
        "queue": task.queue,
        "enabled": task.enabled,
        "interval": [interval.every, interval.period] if interval else None,
        "crontab": _cron_text(crontab) if crontab else None,
    }


def _declared_before(task: PeriodicTask) -> dict[str, Any]:
    found = DECLARED.search(task.description)
    try:
        declared = json.loads(found[1]) if found else {}
    except ValueError:
        declared = {}
    # Without a trace of the last declaration every value counts as a person's.
    return declared if isinstance(declared, dict) else {}


def _description(entry: Entry, wanted: dict[str, Any]) -> str:
    return (
        f"{entry.why}\n\nWhat you change here is kept; deleting the entry restores it.\n"
        f"Declared in code: {json.dumps(wanted, sort_keys=True)}"
    )


def _interval(when: Every) -> list[Any]:
    return [when.seconds, IntervalSchedule.SECONDS]


def _crontab(when: Daily) -> str:
    return f"{when.minute} {when.hour} * * * UTC"


def _cron_text(cron: CrontabSchedule) -> str:
    fields = (cron.minute, cron.hour, cron.day_of_month, cron.month_of_year, cron.day_of_week)
    return " ".join(map(str, (*fields, cron.timezone)))


def _interval_row(value: list[Any] | None, task: PeriodicTask, using: str) -> Any:
    if value is None or (task.interval and _present(task)["interval"] == value):
        return task.interval if value else None
    every, period = value
    rows = IntervalSchedule.objects.using(using)
    # Not get_or_create: the table allows equal rows, and a person may have made some.
    return rows.filter(every=every, period=period).first() or rows.create(
        every=every, period=period
    )


def _crontab_row(value: str | None, task: PeriodicTask, using: str) -> Any:
    if value is None or (task.crontab and _cron_text(task.crontab) == value):
        return task.crontab if value else None
    minute, hour, *_ = value.split()
    rows = CrontabSchedule.objects.using(using)
    wanted = {"minute": minute, "hour": hour, "day_of_month": "*", "month_of_year": "*"}
    wanted |= {"day_of_week": "*", "timezone": "UTC"}
    return rows.filter(**wanted).first() or rows.create(**wanted)
