"""Each kind of guarantee as one route, and three handlers that fail badly on marked events."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

import orjson
from django.conf import settings

from core.events import Backoff, Event, registry

from .models import Effect
from .signals import happened

# Short, so that what a dead worker held comes back while somebody watches.
LEASE = 2.5
BACKOFF = Backoff(first=0.2, factor=2, limit=1)
# Innocent events may be alone with a dying worker more than once; those that kill must end soon.
PATIENT, STRICT = 12, 2
FOREVER = 60.0
DWELL = 0.003


def _trapped(trap: str) -> Callable[[Event], bool]:
    return lambda event: bool(event.data["trap"] == trap)


@registry.route(
    happened,
    name="atomic",
    queue="audit",
    batch_size=20,
    atomic=True,
    lease=LEASE,
    max_attempts=PATIENT,
    backoff=BACKOFF,
)
def atomic(events: list[Event]) -> None:
    """Write rows, in the transaction of the settlement; refuse poison after that."""
    _write("atomic", events)
    for event in events:
        if event.data["trap"] == "poison" and event.data["marked"]:
            raise ValueError("poison")


@registry.route(
    happened,
    name="ordered",
    queue="default",
    ordered=True,
    atomic=True,
    lease=LEASE,
    max_attempts=PATIENT,
    backoff=BACKOFF,
)
def ordered(event: Event) -> None:
    """Write a row whose id tells when it was written."""
    _write("ordered", [event])


@registry.route(
    happened,
    name="external",
    queue="notifications",
    lease=LEASE,
    max_attempts=PATIENT,
    backoff=BACKOFF,
)
def external(event: Event) -> None:
    """Do something in a world without transactions."""
    _append("external", event)


@registry.route(happened, name="once", queue="analytics", at_most_once=True, lease=LEASE)
def once(event: Event) -> None:
    """Do something that must not be repeated, and be there for a while to be killed after it."""
    _append("once", event)
    # Not time.sleep, which libfaketime breaks.
    select.select([], [], [], DWELL)


@registry.route(
    happened,
    name="kill",
    queue="cache",
    when=_trapped("kill"),
    batch_size=10,
    atomic=True,
    lease=LEASE,
    max_attempts=STRICT,
    backoff=BACKOFF,
)
def kill(events: list[Event]) -> None:
    """Kill the own process on a marked event."""
    _write("kill", events)
    if any(event.data["marked"] for event in events):
        os.kill(os.getpid(), signal.SIGKILL)


@registry.route(
    happened,
    name="hang",
    queue="logs",
    when=_trapped("hang"),
    batch_size=10,
    lease=LEASE,
    max_attempts=STRICT,
    backoff=BACKOFF,
)
def hang(events: list[Event]) -> None:
    """Never return on a marked event. Not atomic: on SQLite that would stop all who write."""
    for event in events:
        if event.data["marked"]:
            time.sleep(FOREVER)
        _append("hang", event)


def _write(route: str, events: list[Event]) -> None:
    Effect.objects.bulk_create(
        Effect(route=route, run=event.data["run"], seq=event.data["seq"], lane=event.data["lane"])
        for event in events
    )


def _append(route: str, event: Event) -> None:
    line = {
        "route": route,
        "run": event.data["run"],
        "seq": event.data["seq"],
        "delivery_id": event.delivery_id,
    }
    # One write of a short line to a file opened for appending is never mixed with another's.
    file = os.open(settings.CHAOS_EXTERNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, orjson.dumps(line) + b"\n")
    finally:
        os.close(file)
