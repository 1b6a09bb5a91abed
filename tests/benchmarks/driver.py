"""The process of a side that fires: what a web process would do, timed.

Runs in a child process of the benchmark (see `side.py`); `SENDER` is the module of its side.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache
from django.db import OperationalError, connection, transaction

from workers.audit.models import AuditLog
from workers.notifications.models import Notification

from .shop.models import Sale
from .shop.payloads import cache_key, payload, payloads
from .shop.stamping import number
from .sides.sender import Payload, Sender, empty

SENDER: Sender = import_module(f"tests.benchmarks.sides.{settings.SIDE}")


def _mean(work: Callable[[Payload], None], times: int) -> float:
    """Return the mean seconds that a transaction with this work takes."""
    data = list(payloads(times))
    started = time.perf_counter()
    for each in data:
        with transaction.atomic():
            work(each)
    return (time.perf_counter() - started) / times


def _write(data: Payload) -> None:
    Sale.objects.create(order_id=data["order_id"], amount=data["amount"])


def emission(*, routes: int, times: int, writes: int = 0) -> float:
    """Return the seconds of a request that writes so many rows and fires one event."""

    def request(data: Payload) -> None:
        for _ in range(writes):
            _write(data)
        if routes:
            SENDER.fire(data, routes)

    return _mean(request, times)


def ten(*, routes: int, times: int) -> float:
    """Return the seconds of a request that fires ten events."""

    def request(data: Payload) -> None:
        SENDER.fire_many([data, *payloads(9)], routes)

    return _mean(request, times)


def prepare(*, events: int) -> None:
    """Leave so many events that wait for the four effects, each with a cached value."""
    data = list(payloads(events))
    SENDER.backlog(data)
    cache.set_many({cache_key(each["order_id"]): "cached" for each in data}, timeout=3600)


def prepare_ones(*, events: int) -> None:
    """Leave so many events that wait for the route that gets one event at a time."""
    SENDER.backlog_of_ones(list(payloads(events)))


def wake() -> None:
    """Tell the workers that there is work."""
    SENDER.wake()


def pace(*, rate: float, seconds: float, seed: int) -> dict[int, float]:
    """Fire at this rate, at random moments; return when each event was committed."""
    committed: dict[int, float] = {}

    def note(order: int) -> None:
        committed[order] = time.monotonic()

    for _ in _moments(rate, seconds, seed):
        data = payload()
        with transaction.atomic():
            _write(data)
            # First, so that nothing else that waits for the commit comes before it.
            transaction.on_commit(partial(note, number(data)))
            SENDER.sell(data)
    return committed


def _moments(rate: float, seconds: float, seed: int) -> Iterator[None]:
    dice = random.Random(seed)
    due = started = time.monotonic()
    while due < started + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        yield
        due += dice.expovariate(rate)


def is_quiet() -> bool:
    """Tell whether nobody else is in the middle of a transaction on this side's database."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND backend_type = 'client backend' AND pid <> pg_backend_pid() "
                "AND xact_start IS NOT NULL"
            )
            return bool(cursor.fetchone()[0] == 0)
        cursor.execute("PRAGMA busy_timeout = 100")
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except OperationalError:
            return False
        cursor.execute("ROLLBACK")
        return True


def effects() -> dict[str, int]:
    """Return what the four effects have left behind."""
    return {
        "audit": AuditLog.objects.count(),
        "notification": Notification.objects.count(),
        "cached": int(_cache_server().dbsize()),
        "sales": Sale.objects.count(),
    }


def reset() -> None:
    """Begin again: nothing waits, and no effect has left anything."""
    SENDER.reset()
    tables = [model._meta.db_table for model in (AuditLog, Notification, Sale)]
    empty(tables)
    _cache_server().flushdb()


def _cache_server() -> Any:
    return redis.Redis.from_url(settings.CACHES["default"]["LOCATION"])


@contextmanager
def profiled(path: str) -> Iterator[None]:
    """Write a profile of the block to a file."""
    import cProfile

    profile = cProfile.Profile()
    with profile:
        yield
    profile.dump_stats(path)


def experiment(*, code: str) -> Any:
    """Run code in the driver."""
    names: dict[str, Any] = dict(globals())
    exec(code, names)
    return names.get("result")
