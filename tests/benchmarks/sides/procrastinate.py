"""procrastinate on PostgreSQL: a job deferred within the transaction, for each effect.

Workers are started with `manage.py procrastinate worker`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from procrastinate.contrib.django import app

from .events import Message, carry_out, count_one, message
from .sender import Payload, empty


def _effect(number: int) -> Any:
    @app.task(name=f"bench.effect.{number}")
    def effect(event: Message) -> None:
        carry_out(number, event)

    return effect


@app.task(name="bench.count")
def count(event: Message) -> None:
    """Do the effect of the route that gets one event at a time."""
    count_one(event)


@app.task(name="bench.nothing")
def nothing(event: Message) -> None:
    """Do nothing."""


EFFECTS = tuple(map(_effect, range(4)))


def fire(data: Payload, routes: int) -> None:
    _defer([nothing] * routes, data)


def fire_many(data: Sequence[Payload], routes: int) -> None:
    events = [{"event": message(each)} for each in data]
    for _ in range(routes):
        nothing.batch_defer(*events)


def sell(data: Payload) -> None:
    _defer(EFFECTS, data)


def _defer(tasks: Sequence[Any], data: Payload) -> None:
    event = message(data)
    for task in tasks:
        task.defer(event=event)


def backlog(data: Sequence[Payload]) -> None:
    events = [{"event": message(each)} for each in data]
    for task in EFFECTS:
        task.batch_defer(*events)


def backlog_of_ones(data: Sequence[Payload]) -> None:
    count.batch_defer(*({"event": message(each)} for each in data))


def wake() -> None:
    """A trigger has done it."""


def reset() -> None:
    empty(["procrastinate_jobs", "procrastinate_events", "procrastinate_periodic_defers"])
