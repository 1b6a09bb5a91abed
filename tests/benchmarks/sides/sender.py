"""What a side's module offers, and what it may use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import redis
from django.db import connection

from core.events.doorbell import doorbell_url

Payload = dict[str, Any]


class Sender(Protocol):
    """What a side's module offers. Each is called within the transaction of a request."""

    def fire(self, data: Payload, routes: int) -> None:
        """Fire an event that this many routes take."""

    def fire_many(self, data: Sequence[Payload], routes: int) -> None:
        """Fire several such events, the quickest way that the side knows."""

    def sell(self, data: Payload) -> None:
        """Fire an event that takes the four effects."""

    def backlog(self, data: Sequence[Payload]) -> None:
        """Leave events that wait for the four effects."""

    def backlog_of_ones(self, data: Sequence[Payload]) -> None:
        """Leave events that wait for the route that gets one event at a time."""

    def wake(self) -> None:
        """Tell the workers, where that is not part of the firing."""

    def reset(self) -> None:
        """Forget everything that waits."""


def empty(tables: Sequence[str], using: Any = connection) -> None:
    """Empty tables, the quick way."""
    with using.cursor() as cursor:
        if using.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
        else:
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")


def broker_url() -> str:
    """Return the address of the Redis that is the side's broker, as redis-py writes it."""
    return str(doorbell_url())


def broker_server() -> Any:
    """Return a client of that Redis."""
    return redis.Redis.from_url(broker_url())
