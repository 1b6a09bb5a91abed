"""Signalbox: fire a signal."""

from __future__ import annotations

from collections.abc import Sequence

from config.settings.celery import QUEUES
from core.events import EventSignal, wakeup
from core.events.store import base
from tests.benchmarks.shop.models import Sale
from tests.benchmarks.shop.signals import counted, fired, sold

from .sender import Payload, broker_server, empty

_AT_ONCE = 1000


def fire(data: Payload, routes: int) -> None:
    fired[routes].send(Sale, **data)


def fire_many(data: Sequence[Payload], routes: int) -> None:
    fired[routes].send_many(Sale, data)


def sell(data: Payload) -> None:
    sold.send(Sale, **data)


def backlog(data: Sequence[Payload]) -> None:
    _send_all(sold, data)


def backlog_of_ones(data: Sequence[Payload]) -> None:
    _send_all(counted, data)


def _send_all(signal: EventSignal, data: Sequence[Payload]) -> None:
    for start in range(0, len(data), _AT_ONCE):
        signal.send_many(Sale, data[start : start + _AT_ONCE])


def wake() -> None:
    """Each commit has done it."""


def reset() -> None:
    wakeup._wakeups.flush(1.0)
    broker_server().delete(*QUEUES)
    empty([base.DELIVERY, base.EVENT, base.SETTLEMENT])
