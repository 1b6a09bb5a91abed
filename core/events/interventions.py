"""Interventions: what a person decides about deliveries and routes, at once and in batches.

A delivery that a worker holds is never touched: it has its row back, or none, soon enough.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

from django.db import transaction
from django.db.models import Case, Count, QuerySet, Value, When
from django.db.models.functions import Now

from core.events import wakeup
from core.events.conf import conf
from core.events.models import Delivery, RouteState
from core.events.routing import routing
from core.events.selection import (
    Progress,
    Selection,
    choose_routes,
    needs_naming,
    open_deliveries,
    quiet,
)
from core.events.state import State
from core.events.store import store_for

_BATCH = 1000

RETRIED = (State.DEAD, State.WAITING)
DISCARDED = (State.DEAD, State.WAITING, State.READY)

Act = Callable[[str, list[int]], int]


@dataclass(frozen=True, slots=True)
class Intervention:
    """How many deliveries of each route were changed, and why which routes were left out."""

    routes: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.routes.values())

    def as_dict(self) -> dict[str, Any]:
        return {"total": self.total, "routes": self.routes, "left_out": self.left_out}


@dataclass(frozen=True, slots=True)
class Switched:
    """Which routes were paused or resumed, and which were so already."""

    changed: list[str]
    unchanged: list[str]

    def as_dict(self) -> dict[str, Any]:
        return {"changed": self.changed, "unchanged": self.unchanged}


def retry(
    selection: Selection,
    *,
    states: Sequence[State] = RETRIED,
    dry_run: bool = False,
    progress: Progress = quiet,
) -> Intervention:
    """Make dead deliveries, and those that wait for their backoff, due now.

    They keep their `delivery_id` and their count of attempts; their failures are forgiven. Routes
    that are `at_most_once` are left out unless the selection names them. Raises UnknownRoute or
    UndeclaredEvent when a name matches nothing.
    """
    rows = open_deliveries(selection, choose_routes(selection), states)
    counts = _count(rows)
    left_out = {
        name: reason
        for name in counts
        if not selection.names(name) and (reason := needs_naming(routing.get(name)))
    }
    counts = {name: count for name, count in counts.items() if name not in left_out}
    if not dry_run:
        counts = _apply(rows, counts, states, _make_due, progress)
        wake(counts)
    return Intervention(counts, left_out)


def discard(
    selection: Selection,
    *,
    states: Sequence[State] = DISCARDED,
    reason: str = "discarded by hand",
    dry_run: bool = False,
    progress: Progress = quiet,
) -> Intervention:
    """Settle deliveries without effect; the history keeps the reason.

    Works for routes whose code is gone as well. Raises UnknownRoute or UndeclaredEvent when a
    name matches nothing.
    """
    rows = open_deliveries(selection, choose_routes(selection), states)
    counts = _count(rows)
    if not dry_run:
        settle = partial(_settle, states, reason)
        counts = _apply(rows, counts, states, settle, progress)
        # A discarded delivery may have held up the next one of its key.
        wake(counts)
    return Intervention(counts)


def pause(selection: Selection, *, dry_run: bool = False) -> Switched:
    """Stop the claims of these routes; their deliveries accumulate. Raises UnknownRoute."""
    return _switch(selection, True, dry_run)


def resume(selection: Selection, *, dry_run: bool = False) -> Switched:
    """Let paused routes go on, and wake their workers. Raises UnknownRoute."""
    switched = _switch(selection, False, dry_run)
    if not dry_run:
        wake(switched.changed)
    return switched


def wake(names: Iterable[str]) -> None:
    """Wake the queues of these routes after commit; without Celery there is nobody to wake."""
    found = [routing.get(name) for name in names]
    queues = {route.queue for route in found if route is not None}
    if queues and not conf.inline:
        transaction.on_commit(lambda: wakeup.ring(queues), using=conf.database, robust=True)


def _switch(selection: Selection, paused: bool, dry_run: bool) -> Switched:
    names = choose_routes(selection)
    alias = conf.database
    states = RouteState.objects.using(alias)
    now_paused = set(states.filter(paused=True).values_list("name", flat=True))
    changed = [name for name in names if (name in now_paused) is not paused]
    if changed and not dry_run:
        with transaction.atomic(using=alias):
            store_for(alias).ensure_routes(changed)
            # Locked in the order in which everybody locks them; see the floors of the claims.
            rows = states.filter(name__in=changed)
            list(rows.order_by("name").select_for_update().values_list("name"))
            rows.update(paused=paused)
    return Switched(changed, [name for name in names if name not in changed])


def _count(rows: QuerySet[Delivery]) -> dict[str, int]:
    return dict(rows.order_by("route").values_list("route").annotate(Count("pk")))


def _apply(
    rows: QuerySet[Delivery],
    expected: dict[str, int],
    states: Sequence[State],
    act: Act,
    progress: Progress,
) -> dict[str, int]:
    """Change the rows of these routes, a transaction for each batch; return how many it were."""
    counts: Counter[str] = Counter()
    # One state at a time is what the partial indexes serve. The dead come last, since retrying
    # lets some of them wait.
    for name, state in product(expected, sorted(states)):
        for ids in _batches(rows.filter(route=name, state=state)):
            with transaction.atomic(using=rows.db):
                counts[name] += act(name, ids)
            progress(counts.total(), sum(expected.values()))
    return {name: count for name, count in counts.items() if count}


def _batches(rows: QuerySet[Delivery]) -> Iterator[list[int]]:
    last = 0
    while ids := list(
        rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:_BATCH]
    ):
        yield ids
        last = ids[-1]


def _make_due(route: str, ids: list[int]) -> int:
    rows = Delivery.objects.using(conf.database).filter(pk__in=ids, state__in=RETRIED)
    count = rows.update(
        # A suspect is claimed alone, which only the index of those that wait provides for.
        state=Case(When(suspect=True, then=Value(State.WAITING)), default=Value(State.READY)),
        due_at=Case(When(suspect=True, then=Now()), default=None),
        token=None,
        started=False,
        failures=0,
    )
    # These lie below what the claims have left behind, and would wait for a sweep to find them.
    store_for(conf.database).lower_floors(ids)
    return count


def _settle(states: Sequence[State], reason: str, route: str, ids: list[int]) -> int:
    """Take these rows under a token of their own and settle them, as a worker would."""
    token = secrets.randbits(63)
    rows = Delivery.objects.using(conf.database).filter(pk__in=ids, state__in=states)
    rows.update(token=token)
    return store_for(conf.database).settle(ids, token, "discarded", reason)
