"""The usual way: `transaction.on_commit(lambda: task.delay(...))`, once for each effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import transaction

from config.settings.celery import QUEUES

from .events import Message, carry_out, count_one, message
from .sender import Payload, broker_server
from .usual_app import app

MOST_ROUTES = 10


@app.task(name="usual.audit", queue="audit")
def audit(event: Message) -> None:
    carry_out(0, event)


@app.task(name="usual.notify", queue="notifications")
def notify(event: Message) -> None:
    carry_out(1, event)


@app.task(name="usual.analyse", queue="analytics")
def analyse(event: Message) -> None:
    carry_out(2, event)


@app.task(name="usual.invalidate", queue="cache")
def invalidate(event: Message) -> None:
    carry_out(3, event)


@app.task(name="usual.count", queue="default")
def count(event: Message) -> None:
    count_one(event)


def _nothing(number: int) -> Any:
    @app.task(name=f"usual.nothing.{number}", queue=QUEUES[number % len(QUEUES)])
    def nothing(event: Message) -> None:
        """Do nothing."""

    return nothing


EFFECTS = (audit, notify, analyse, invalidate)
NOTHING = tuple(map(_nothing, range(MOST_ROUTES)))


def fire(data: Payload, routes: int) -> None:
    _on_commit(NOTHING[:routes], data)


def fire_many(data: Sequence[Payload], routes: int) -> None:
    for each in data:
        fire(each, routes)


def sell(data: Payload) -> None:
    _on_commit(EFFECTS, data)


def _on_commit(tasks: Sequence[Any], data: Payload) -> None:
    event = message(data)
    for task in tasks:
        transaction.on_commit(partial(task.delay, event))


def backlog(data: Sequence[Payload]) -> None:
    _publish(EFFECTS, data)


def backlog_of_ones(data: Sequence[Payload]) -> None:
    _publish([count], data)


def _publish(tasks: Sequence[Any], data: Sequence[Payload]) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        publish: list[Callable[..., Any]] = [task.apply_async for task in tasks]
        for each in data:
            event = message(each)
            for send in publish:
                send((event,), producer=producer)


def wake() -> None:
    """The messages are there."""


def reset() -> None:
    broker_server().delete(*QUEUES)
