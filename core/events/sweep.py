"""The sweep: finds what was lost on the way and wakes the queues that have due work.

Beat runs it every second and each worker on a timer; a row in the database lets one of them do it
at a time. Two beats, or none, do no harm.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from core.events import wakeup
from core.events.conf import conf
from core.events.declarations import delivery_died
from core.events.routing import Route, routing
from core.events.state import State
from core.events.store import Claimed, Due, Lapsed, Release, Store, store_for
from core.events.store.due import claimable, expired
from core.events.stored import readable
from core.events.trouble import drop_if_broken

logger = logging.getLogger(__name__)

_DUTY = "sweep"
# Seconds between two sweeps; for how long one may be stuck before another takes over.
_EVERY = 0.9
_STUCK = 10.0
# A sweep that takes long runs less often, so that it costs at most this part of the time; but one
# that only had to wait, as for a lock, must not put the next off for long.
_SHARE = 0.05
_LONGEST_GAP = 5.0
# Every sweep moves the floors on from where they are; this often they are found from the start.
_FLOORS_EVERY = 10.0
_BATCH = 1000
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


@dataclass(slots=True)
class Swept:
    """What a sweep found."""

    ran: bool = False
    reclaimed: int = 0
    dead: int = 0
    woken: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        if not self.ran:
            return {}
        return {"reclaimed": self.reclaimed, "dead": self.dead, "woken": self.woken}


def sweep() -> Swept:
    """Reclaim expired leases and wake the queues that have due work, if it is time for that."""
    store = store_for(conf.database)
    duty = store.take_duty(_DUTY, _STUCK)
    if duty is None:
        return Swept()
    memory, now, held_until = duty
    started = time.monotonic()
    remembered: dict[str, Any] = json.loads(memory)
    gap = _EVERY
    try:
        swept = reclaim()
        remembered["queues"] = _choose(store, swept, remembered.get("queues", {}), now)
        _raise_floors(store, remembered, now)
        # How long a broker keeps us waiting, below, says nothing about what a sweep costs.
        gap = max(_EVERY, min((time.monotonic() - started) / _SHARE, _LONGEST_GAP))
        if swept.woken and not conf.inline and not wakeup.publish(swept.woken):
            # Nobody was told, so nobody left it unanswered: the next sweep tries again.
            for queue in swept.woken:
                del remembered["queues"][queue]
    finally:
        store.leave_duty(_DUTY, held_until, gap, json.dumps(remembered))
    return swept


def attempt() -> None:
    """Sweep, and only say so when the database is away or refuses: the next sweep is soon."""
    drop_if_broken(conf.database)
    try:
        sweep()
    except Exception as error:
        logger.warning("a sweep failed: %s", type(error).__name__)
        logger.debug("a sweep failed", exc_info=True)
    finally:
        drop_if_broken(conf.database)


def reclaim() -> Swept:
    """Take back the deliveries whose lease ran out.

    Those that were handled alone are charged with a failure, the others are suspects from now on.
    """
    store = store_for(conf.database)
    swept = Swept(ran=True)
    while True:
        deaths: list[tuple[Claimed, str]] = []
        with transaction.atomic(using=store.alias):
            lapsed = expired(store, _BATCH)
            tokens: dict[int, list[Release]] = {}
            for each in lapsed:
                release = (
                    _without_event(each) if each.row is None else _reclaimed(each.row, each.started)
                )
                if release is None:
                    continue
                tokens.setdefault(each.token, []).append(release)
                if release.state == State.DEAD:
                    swept.dead += 1
                    if each.row is not None:
                        deaths.append((each.row, release.error or ""))
            for token, releases in tokens.items():
                swept.reclaimed += len(store.release(releases, token))
        _announce(deaths)
        if len(lapsed) < _BATCH or not tokens:
            break
    if swept.reclaimed:
        logger.warning(
            "%d deliveries came back after their lease ran out, %d of them dead: "
            "a worker died or took too long",
            swept.reclaimed,
            swept.dead,
        )
    return swept


def _without_event(lapsed: Lapsed) -> Release:
    """Bury a delivery whose event somebody deleted: no claim could ever hand it out."""
    error = (
        "its event is gone from the database, so it cannot be handled: "
        "discard it with `manage.py events discard`"
    )
    logger.error("route %s: delivery %d is dead: %s", lapsed.route, lapsed.id, error)
    return Release(lapsed.id, State.DEAD, error=error)


def _reclaimed(row: Claimed, started: bool) -> Release | None:
    route = routing.get(row.route)
    if route is None:
        # Only its code knows whether it may be repeated, so what it had begun stays as it is.
        return None if started else Release(row.id, State.WAITING, 0.0, attempts=1, suspect=True)
    if route.at_most_once:
        if not started:
            return Release(row.id, State.READY)
        error = "outcome unknown: the worker died, or took longer than the lease"
        return Release(row.id, State.DEAD, None, 1, 1, error)
    if not started:
        return Release(row.id, State.WAITING, 0.0, attempts=1, suspect=True)
    error = "the worker died, or took longer than the lease, while handling this alone"
    if row.failures + 1 >= route.max_attempts:
        return Release(row.id, State.DEAD, None, 1, 1, error, suspect=True)
    delay = route.backoff.delay(row.failures + 1)
    return Release(row.id, State.WAITING, delay, 1, 1, error, suspect=True)


def _announce(deaths: Sequence[tuple[Claimed, str]]) -> None:
    for row, error in deaths:
        event = readable(row)
        logger.error(
            "route %s: event %s (%s), delivery %s is dead: %s",
            row.route,
            event.id,
            event.name,
            event.delivery_id,
            error,
        )
        delivery_died.send_robust(
            sender=row.route, event=event, delivery_id=event.delivery_id, error=error
        )


def _choose(store: Store, swept: Swept, known: dict[str, Any], now: float) -> dict[str, Any]:
    """Choose which queues with due work to wake; one that does not answer with growing pauses."""
    due = due_queues(store, list(routing))
    remembered: dict[str, Any] = {}
    for queue, head in due.items():
        before = known.get(queue)
        if before is None or before["head"] != head:
            remembered[queue] = {"head": head, "pause": _FIRST_PAUSE, "at": now}
            swept.woken.append(queue)
        elif not 0 <= now - before["at"] < before["pause"]:
            pause = min(before["pause"] * 2, _LONGEST_PAUSE)
            remembered[queue] = {"head": head, "pause": pause, "at": now}
            swept.woken.append(queue)
        else:
            remembered[queue] = before
    return remembered


def due_queues(store: Store, routes: Sequence[Route]) -> dict[str, str]:
    """Return the queues that have due work, each with a text that changes as work is done."""
    heads: dict[str, list[str]] = {}
    due = claimable(store, routes)
    for route in routes:
        if route.name in due:
            heads.setdefault(route.queue, []).append(_head(route, due[route.name]))
    return {queue: " ".join(parts) for queue, parts in heads.items()}


def _head(route: Route, found: Due) -> str:
    return f"{route.name}:{found.ready}:{found.waiting}"


def _raise_floors(store: Store, remembered: dict[str, Any], now: float) -> None:
    names = [route.name for route in routing]
    from_start = not 0 <= now - remembered.get("floors_at", 0) < _FLOORS_EVERY
    if from_start:
        store.ensure_routes(names)
        remembered["floors_at"] = now
    store.raise_floors(names, from_start=from_start)
