"""Delivery: claim -> handle -> settle.

Transactions: a claim commits by itself, so none is open while a handler talks to the world. An
atomic handler and its settlement are one transaction. The others are settled afterwards, a few
milliseconds of work at a time.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections

from core.events.conf import conf
from core.events.declarations import delivery_died
from core.events.event import Event
from core.events.handling import RouteRun
from core.events.pace import pace
from core.events.routing import Route, routing
from core.events.state import State
from core.events.store import Claimed, Release, Scope, Store, Want, store_for
from core.events.stored import readable

logger = logging.getLogger(__name__)

# Done work is settled together with what is done within this time, in seconds.
_SETTLE_WITHIN = 0.02
# A claim may go on for so long after its time, in seconds; then what is left goes back.
_GRACE = 1.0
# A claim that is thought to take longer than this, in seconds, is a slow one.
_SLOW = 0.05
# Leases are renewed once this part of that of the route at work has passed.
_RENEW_AFTER = 0.05


# So many seconds a round spends on suspects, where there are any.
_SUSPECTS_FOR = 0.25

Written = TypeVar("Written")
Claim = Callable[[int, Scope], list[Claimed]]


class Tally:
    """Counts per route and outcome: done, retried, discarded, failed, dead, released."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, route: str, outcome: str, number: int = 1) -> None:
        self._counts[route][outcome] += number

    def merge(self, other: Tally) -> None:
        for route, counts in other._counts.items():
            self._counts[route].update(counts)

    def as_dict(self) -> dict[str, dict[str, int]]:
        return {route: dict(counts) for route, counts in sorted(self._counts.items())}

    def __contains__(self, route: str) -> bool:
        return route in self._counts

    def __bool__(self) -> bool:
        return bool(self._counts)


@dataclass(slots=True)
class Round:
    """What one look for work has brought."""

    tally: Tally = field(default_factory=Tally)
    taken: int = 0
    full: set[str] = field(default_factory=set)
    more: bool = False
    suspects: bool = False
    again_in: float | None = None
    returned: list[int] = field(default_factory=list)

    def merge(self, other: Round) -> None:
        self.tally.merge(other.tally)
        self.taken += other.taken
        self.full |= other.full
        self.more |= other.more
        self.suspects |= other.suspects
        self.again_in = soonest(self.again_in, other.again_in)
        self.returned += other.returned


def soonest(*delays: float | None) -> float | None:
    """Return the smallest of these delays, or None when there is none."""
    return min((delay for delay in delays if delay is not None), default=None)


class Holding:
    """The deliveries of one claim, held under one token until they are settled or released."""

    def __init__(
        self, store: Store, token: int, rows: Sequence[Claimed], deadline: float | None
    ) -> None:
        self.store = store
        self.alias = store.alias
        self.token = token
        self.tally = Tally()
        self.returned: list[int] = []
        self.again_in: float | None = None
        self._rows = {row.id: row for row in rows}
        self._deadline = deadline
        self._leased_at = time.monotonic()
        # The lease of the route at work, and those of all routes of this claim.
        self._lease = 0.0
        self._leases: dict[str, float] = {}
        self._done: list[int] = []
        self._unwritten_since: float | None = None
        self._releases: list[Release] = []
        self._started: set[int] = set()
        self._dying: dict[int, tuple[Route, Event]] = {}
        self.calling: set[int] = set()

    def handle(self, routes: dict[str, Route]) -> None:
        """Handle all of it, quick routes first; whatever happens, nothing stays held.

        Those with short leases come before those with long ones: a lease that was renewed before a
        call outlasts every call of its own length, but not a longer one.
        """
        groups: dict[str, list[Claimed]] = defaultdict(list)
        for row in self._rows.values():
            groups[row.route].append(row)
        self._leases = {name: routes[name].lease for name in groups}
        try:
            for name in sorted(groups, key=lambda name: _turn(routes[name])):
                pace.weigh(name, sum(len(row.data) for row in groups[name]) / len(groups[name]))
                lease = routes[name].lease
                if lease > self._lease or pace.seconds(routes[name]) > _SETTLE_WITHIN:
                    self._flush()
                self._lease = lease
                RouteRun(self, routes[name], groups[name]).run()
        finally:
            self._finish(routes)

    def overdue(self) -> bool:
        """Tell whether the time for this claim is over, so that the rest should go back."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def keep(self, ids: Sequence[int], *, started: bool) -> set[int]:
        """Make sure of a whole lease before a call; return which of these rows are held."""
        if time.monotonic() - self._leased_at >= _RENEW_AFTER * self._lease:
            self._renew()
        kept = {id for id in ids if id in self._rows}
        if started:
            held = self.store.renew(list(kept), self.token, self._lease, started=True)
            self._started |= held
            self.drop(kept - held)
            kept = held
        return kept

    def settle(self, ids: Sequence[int], outcome: str, reason: str = "") -> int:
        """Settle rows within the caller's transaction; return how many were still held."""
        return self.store.settle(ids, self.token, outcome, reason)

    def done(self, ids: Sequence[int], route: Route) -> None:
        """Settle rows soon: now if they waited long enough, else with the next ones."""
        self._done += ids
        self._flush_soon(at_once=route.at_most_once)

    def discard(self, ids: Sequence[int], route: Route, reason: str) -> None:
        """Settle rows as discarded."""
        self._settle_surely(ids, "discarded", reason, route.lease)
        self.drop(ids)

    def release(self, releases: Iterable[Release]) -> None:
        """Give rows back soon, as `done` settles them."""
        self._releases += releases
        self._flush_soon()

    def will_die(self, route: Route, event: Event, rows: Sequence[Claimed]) -> None:
        """Remember what to tell when the death of these rows is written."""
        for row in rows:
            self._dying[row.id] = route, event if row.event_id == event.id else readable(row)

    def drop(self, ids: Iterable[int]) -> None:
        """Forget rows that are not held any more."""
        for id in ids:
            self._rows.pop(id, None)

    # -- inside ---------------------------------------------------------------------------

    def _renew(self) -> None:
        """Renew all that is not through yet; forget what another holds by now."""
        through = {release.id for release in self._releases} | set(self._done)
        members: dict[float, list[int]] = defaultdict(list)
        for row in self._rows.values():
            if row.id not in through:
                members[self._leases[row.route]].append(row.id)
        self._leased_at = time.monotonic()
        for lease, ids in members.items():
            self.drop(set(ids) - self.store.renew(ids, self.token, lease))

    def _flush_soon(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._unwritten_since is None:
            self._unwritten_since = now
        if at_once or now - self._unwritten_since > _SETTLE_WITHIN:
            self._flush()

    def _flush(self) -> None:
        """Write what became of the rows so far, and announce the deaths among them."""
        self._unwritten_since = None
        if self._done:
            done, self._done = self._done, []
            self._settle_surely(done, "done", "", self._lease)
            self.drop(done)
        if self._releases:
            releases, self._releases = self._releases, []
            written = self._surely(lambda: self.store.release(releases, self.token), self._lease)
            self.drop(release.id for release in releases)
            self.returned += [release.id for release in releases if release.attempts]
            self.again_in = soonest(self.again_in, *(release.delay for release in releases))
            self._announce(release for release in releases if release.id in written)

    def _announce(self, releases: Iterable[Release]) -> None:
        """Tell of the deaths that are written now."""
        for release in releases:
            if release.state == State.DEAD:
                route, event = self._dying.pop(release.id)
                delivery_died.send_robust(
                    sender=route.name,
                    event=event,
                    delivery_id=event.delivery_id,
                    error=release.error,
                )

    def _settle_surely(self, ids: Sequence[int], outcome: str, reason: str, within: float) -> None:
        settled = self._surely(lambda: self.settle(ids, outcome, reason), within)
        if settled != len(ids):
            logger.warning(
                "%d of %d deliveries were handled after their lease was lost; "
                "they are handled again",
                len(ids) - settled,
                len(ids),
            )

    def _surely(self, write: Callable[[], Written], within: float) -> Written:
        """Write, and try again until the lease ends: what is written has happened already."""
        deadline = self._leased_at + within
        while True:
            try:
                return write()
            except (DatabaseError, InterfaceError) as error:
                if time.monotonic() > deadline or connections[self.alias].in_atomic_block:
                    raise
                logger.warning(
                    "writing what became of deliveries failed, again: %s", type(error).__name__
                )
                connections[self.alias].close()
                _pause(0.2)

    def _interrupted(self, row: Claimed, route: Route) -> Release:
        """What becomes of a delivery whose handling was cut off, as by a shutdown."""
        if route.at_most_once and row.id in self._started:
            error = "outcome unknown: interrupted"
            self.will_die(route, readable(row), [row])
            return Release(row.id, State.DEAD, None, 1, 1, error)
        attempts = 1 if row.id in self.calling else 0
        if row.suspect:
            return Release(row.id, State.WAITING, 0.0, attempts)
        return Release(row.id, State.READY, None, attempts)

    def _finish(self, routes: dict[str, Route]) -> None:
        try:
            self._flush()
        finally:
            self._releases = [
                self._interrupted(row, routes[row.route]) for row in self._rows.values()
            ]
            self._flush()


def _turn(route: Route) -> tuple[float, float]:
    """Return by what the routes of a claim take turns."""
    return route.lease, pace.seconds(route)


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def run_round(
    routes: Sequence[Route],
    *,
    scope: Scope | None = None,
    unlimited: bool = False,
    suspects: bool = True,
    deadline: float | None = None,
    on_slow: Callable[[], object] | None = None,
    on_full: Callable[[set[str]], object] | None = None,
) -> Round:
    """Claim once for all these routes, handle and settle; with `suspects`, some of those as well.

    Suspects are claimed one by one, so a round takes them back to back for a moment: between two of
    them there may be a round of other work, and between two of those a moment of suspects.
    """
    store = store_for(conf.database)
    scope = scope or Scope()
    plain = [route for route in routes if not (route.ordered or route.limited)]
    claims: list[Claim] = []
    lone: list[Claim] = []
    round_ = Round()
    if plain:
        wants = [Want(route, pace.limit(route)) for route in plain]
        claims.append(lambda token, scope: store.claim(wants, token, scope))
        lone.append(lambda token, scope: store.claim_suspect(plain, token, scope))
    for route in routes:
        if route.ordered or route.limited:
            claims.append(_exclusive(store, route, unlimited, suspect=False))
            lone.append(_exclusive(store, route, unlimited, suspect=True))
    for claim in claims:
        round_.merge(_claim_and_handle(store, claim, scope, routes, deadline, on_slow, on_full))
    if suspects:
        found = _handle_suspects(store, lone, scope, routes, deadline, on_slow)
        if found.suspects and on_full is not None and not round_.full:
            on_full(found.full)
        round_.merge(found)
    return round_


def _handle_suspects(
    store: Store,
    claims: list[Claim],
    scope: Scope,
    routes: Sequence[Route],
    deadline: float | None,
    on_slow: Callable[[], object] | None,
) -> Round:
    """Handle suspects one at a time for a moment, each once."""
    until = time.monotonic() + _SUSPECTS_FOR
    round_ = Round()
    while claims:
        for claim in tuple(claims):
            left = replace(scope, exclude=(*scope.exclude, *round_.returned))
            found = _claim_and_handle(store, claim, left, routes, deadline, on_slow)
            round_.merge(found)
            if not found.taken:
                claims.remove(claim)
        if time.monotonic() > until:
            break
    # Time ended before the suspects did: there may be more, for others to take as well.
    round_.suspects = round_.more = bool(claims)
    round_.full = (
        {route.queue for route in routes if route.name in round_.tally} if claims else set()
    )
    return round_


def _exclusive(store: Store, route: Route, unlimited: bool, *, suspect: bool) -> Claim:
    def claim(token: int, scope: Scope) -> list[Claimed]:
        if not unlimited:
            due = store.due([route]).get(route.name)
            if due is None or (suspect and due.waiting is None):
                return []
        want = Want(route, pace.limit(route))
        return store.claim_exclusive(want, token, scope, suspect=suspect, unlimited=unlimited)

    return claim


def _claim_and_handle(
    store: Store,
    claim: Claim,
    scope: Scope,
    routes: Sequence[Route],
    deadline: float | None,
    on_slow: Callable[[], object] | None,
    on_full: Callable[[set[str]], object] | None = None,
) -> Round:
    token = secrets.randbits(63)
    rows = claim(token, scope)
    if not rows:
        return Round()
    holding = Holding(store, token, rows, deadline)
    known = {route.name: route for route in routes}
    if on_slow is not None and sum(pace.seconds(known[row.route]) for row in rows) > _SLOW:
        on_slow()
    counts = Counter(row.route for row in rows)
    full = {known[name].queue for name, count in counts.items() if count >= pace.limit(known[name])}
    if full and on_full is not None:
        on_full(full)
    holding.handle(known)
    again_in = holding.again_in
    rated = [name for name in counts if known[name].rate is not None]
    if rated:
        again_in = soonest(again_in, store.open_in(rated))
    # A lane, or a slot of a limit, that was freed just now may have its next delivery waiting.
    more = bool(full) or any(known[name].ordered or known[name].limited for name in counts)
    return Round(holding.tally, len(rows), full, more, again_in=again_in, returned=holding.returned)


@dataclass(slots=True)
class Worked:
    """What `work` did, whether its time ended before the work, and when something is due next."""

    tally: Tally = field(default_factory=Tally)
    left: bool = False
    again_in: float | None = None


def work(
    queues: set[str] | None,
    *,
    seconds: float,
    on_full: Callable[[set[str]], object] | None = None,
    on_slow: Callable[[], object] | None = None,
    wait: Callable[[float], bool] | None = None,
) -> Worked:
    """Deliver what is due on these queues (None: all) for about so many seconds.

    `on_full` is called once with the queues on which a claim took all that it could, `on_slow`
    before a claim is handled that may take long. `wait(until)` is asked when nothing is left to
    do; True means that there may be work again.
    """
    until = time.monotonic() + seconds
    worked = Worked()
    suspects = thorough = True
    while True:
        routes = routing.of_queues(queues)
        if not routes:
            return worked
        deadline = until + max(seconds, _GRACE)
        round_ = run_round(
            routes,
            scope=Scope(thorough=thorough),
            suspects=suspects,
            deadline=deadline,
            on_slow=on_slow,
            on_full=on_full,
        )
        worked.tally.merge(round_.tally)
        worked.again_in = soonest(worked.again_in, round_.again_in)
        if round_.full:
            on_full = None
        if time.monotonic() >= until:
            worked.left = bool(round_.taken)
            return worked
        suspects = round_.suspects
        thorough = False
        if round_.more:
            continue
        if wait is None or not wait(until):
            return worked
