"""dramatiq on Redis: `transaction.on_commit(lambda: actor.send(...))`, once for each effect.

Workers are started with `dramatiq tests.benchmarks.sides.dramatiq`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import django
import dramatiq
from django.apps import apps
from django.db import transaction
from dramatiq.brokers.redis import RedisBroker

if not apps.ready:
    django.setup()

from .events import Message, carry_out, count_one, message  # needs Django set up
from .sender import Payload, broker_server, broker_url

dramatiq.set_broker(RedisBroker(url=broker_url()))


def _effect(number: int) -> Any:
    @dramatiq.actor(actor_name=f"effect.{number}")
    def effect(event: Message) -> None:
        carry_out(number, event)

    return effect


@dramatiq.actor
def count(event: Message) -> None:
    """Do the effect of the route that gets one event at a time."""
    count_one(event)


@dramatiq.actor
def nothing(event: Message) -> None:
    """Do nothing."""


EFFECTS = tuple(map(_effect, range(4)))


def fire(data: Payload, routes: int) -> None:
    _on_commit([nothing] * routes, data)


def fire_many(data: Sequence[Payload], routes: int) -> None:
    for each in data:
        fire(each, routes)


def sell(data: Payload) -> None:
    _on_commit(EFFECTS, data)


def _on_commit(actors: Sequence[Any], data: Payload) -> None:
    event = message(data)
    for actor in actors:
        transaction.on_commit(partial(actor.send, event))


def backlog(data: Sequence[Payload]) -> None:
    for each in data:
        sell(each)


def backlog_of_ones(data: Sequence[Payload]) -> None:
    for each in data:
        _on_commit([count], each)


def wake() -> None:
    """The messages are there."""


def reset() -> None:
    broker_server().flushdb()
