"""Runs in Signalbox's driver: a long past, made by SQL, and claims that are timed after it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from unittest.mock import patch

import psycopg
from django.db import connections

from config.settings.celery import QUEUES
from core.events import EventSignal, delivery, registry, sweep, wakeup
from core.events.conf import conf
from core.events.store import base, store_for

from .shop.payloads import payload, payloads
from .shop.signals import fired, sold
from .sides.sender import empty

Held = Literal["snapshot", "transaction id"]

# Small claims, so that what they wade through before they find their rows shows.
_EVENTS = 25
_ROUTES = 4
_AT_ONCE = 100_000
_BATCH = 500
_SWEEP_EVERY = 1.0
_SWEEPS_TAKE = 60.0

# Increasing, as version 7 is, so that the index grows as it does in life.
_EVENT_ID = "(lpad(to_hex(%(base)s + n), 12, '0') || '-7000-8000-' || lpad(to_hex(n), 12, '0'))"


def backlog(*, events: int) -> None:
    """Leave so many events that wait for the four effects."""
    for start in range(0, events, _AT_ONCE):
        _insert(sold, start, min(_AT_ONCE, events - start))


def wake() -> None:
    """Wake every queue."""
    wakeup.ring(QUEUES)


def settled() -> int:
    """Return how many deliveries were settled so far."""
    with connections[conf.database].cursor() as cursor:
        cursor.execute(f"SELECT COALESCE(sum(count), 0) FROM {base.SETTLEMENT}")
        return int(cursor.fetchone()[0])


def settle(*, deliveries: int) -> None:
    """Insert events with their deliveries and settle them, until so many were settled."""
    signal = fired[_ROUTES]
    for start in range(settled() // _ROUTES, deliveries // _ROUTES, _AT_ONCE):
        _insert(signal, start, min(_AT_ONCE, deliveries // _ROUTES - start))
        _settle_all()
    _sweep(times=3)


def _sweep(*, times: int) -> None:
    """Let so many sweeps go over the tables, as there were many in the time that it stands for."""
    deadline = time.monotonic() + _SWEEPS_TAKE
    while times and time.monotonic() < deadline:
        times -= sweep.sweep().ran
        time.sleep(_SWEEP_EVERY / 10)


def _insert(signal: EventSignal, start: int, events: int) -> None:
    data = payload()
    routes = [route.name for route in registry.routes(signal)]
    with connections[conf.database].cursor() as cursor:
        cursor.execute(
            f"""WITH numbers AS (
                SELECT n, {_EVENT_ID}::uuid AS id FROM generate_series(%(first)s, %(last)s) AS n
            ), e AS (
                INSERT INTO {base.EVENT} (id, {base.EVENT_COLUMNS}, occurred_at)
                SELECT id, %(name)s, 1, replace(%(data)s, %(order)s,
                    'order-' || lpad(n::text, 12, '0')), '', 'bench_shop.sale', NULL,
                    NULL, NULL, id::text, NULL, statement_timestamp() FROM numbers
            )
            INSERT INTO {base.DELIVERY} (event_id, route)
            SELECT id, route FROM numbers, unnest(%(routes)s::text[]) AS route ORDER BY n""",
            {
                "base": int(time.time() * 1000),
                # Orders that no other event of this run has.
                "first": 10**9 + start,
                "last": 10**9 + start + events - 1,
                "name": signal.name,
                "data": json.dumps(data, separators=(",", ":")),
                "order": data["order_id"],
                "routes": routes,
            },
        )


def _settle_all() -> None:
    """Settle everything that waits, as workers would have, in batches of one route each."""
    with connections[conf.database].cursor() as cursor:
        cursor.execute(
            f"""WITH gone AS (DELETE FROM {base.DELIVERY} RETURNING id, route, event_id)
            INSERT INTO {base.SETTLEMENT} (route, outcome, count, events, settled_at)
            SELECT route, 'done', count(*), string_agg(event_id::text, ' '), statement_timestamp()
            FROM gone GROUP BY route, id / {_BATCH * _ROUTES}"""
        )


def claims(*, times: int, emptied: bool = False) -> list[float]:
    """Let delivery tasks claim, handle and settle a few events at a time; so many times.

    Returns the seconds of each claim. With `emptied`, the tables are emptied before each.
    """
    with _timed_claims() as found:
        while len(found) < times:
            _task(lambda: len(found) < times, emptied=emptied)
    return found[:times]


def claims_while_held(*, held: Held, seconds: float) -> list[float]:
    """Do that for so long beside an old transaction that holds back vacuum, with a sweep a second.

    Returns the claims of the last third of the time.
    """
    started = time.monotonic()
    with _old_transaction(held), _timed_claims() as found:
        while (passed := time.monotonic() - started) < seconds:
            if passed < seconds * 2 / 3:
                early = len(found)
            _task(lambda: True, emptied=False)
            sweep.sweep()
    return found[early:]


def _task(wanted: Callable[[], bool], *, emptied: bool) -> None:
    """Run what a delivery task runs, while somebody fires each time that it has nothing to do."""

    def fire(until: float) -> bool:
        if not wanted() or time.monotonic() >= until:
            return False
        if emptied:
            empty([base.DELIVERY, base.EVENT, base.SETTLEMENT])
        fired[_ROUTES].send_many("bench", payloads(_EVENTS))
        return True

    fire(math.inf)
    delivery.work(set(QUEUES), seconds=conf.task_seconds, wait=fire)


@contextmanager
def _timed_claims() -> Iterator[list[float]]:
    """Collect the seconds of each claim of the engine within the block."""
    store, seconds = store_for(conf.database), []
    claim = store.claim

    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        rows = claim(*arguments, **named)
        if rows:
            seconds.append(time.perf_counter() - started)
        return rows

    with patch.object(store, "claim", timed):
        yield seconds


@contextmanager
def _old_transaction(held: Held) -> Iterator[None]:
    parameters: dict[str, Any] = connections[conf.database].get_connection_params()
    for own in ("context", "cursor_factory", "prepare_threshold"):
        parameters.pop(own, None)
    statements: Sequence[str] = {
        "snapshot": ["BEGIN ISOLATION LEVEL REPEATABLE READ", f"TABLE {base.ROUTE}"],
        "transaction id": ["BEGIN", "SELECT pg_current_xact_id()"],
    }[held]
    with psycopg.connect(**parameters, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
        yield
        connection.execute("ROLLBACK")
