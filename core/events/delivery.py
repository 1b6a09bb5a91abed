"""Delivery: claim -> handle -> settle.

Transactions: a claim commits by itself, so none is open while a handler talks to the world. An
atomic handler and its settlement are one transaction. The others are settled afterwards, a few
milliseconds of work at a time.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from core.events.conf import conf
from core.events.handling import RouteRun
from core.events.holding import Holding
from core.events.pace import pace
from core.events.routing import Route, routing
from core.events.store import Claimed, Scope, Store, Want, store_for
from core.events.store.due import claimable
from core.events.store.limits import open_in
from core.events.tally import Round, Worked, soonest

# A claim may go on for so long after its time, in seconds; then what is left goes back.
_GRACE = 1.0
# A claim that is thought to take longer than this, in seconds, is a slow one.
_SLOW = 0.05
# So many seconds a round spends on suspects, where there are any.
_SUSPECTS_FOR = 0.25

Claim = Callable[[int, Scope], list[Claimed]]


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
            due = claimable(store, [route]).get(route.name)
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
    known = {route.name: route for route in routes}
    holding = Holding(store, token, rows, known, deadline)
    if on_slow is not None and sum(pace.seconds(known[row.route]) for row in rows) > _SLOW:
        on_slow()
    counts = Counter(row.route for row in rows)
    full = {known[name].queue for name, count in counts.items() if count >= pace.limit(known[name])}
    if full and on_full is not None:
        on_full(full)
    _handle(holding, rows, known)
    again_in = holding.again_in
    rated = [name for name in counts if known[name].rate is not None]
    if rated:
        again_in = soonest(again_in, open_in(store, rated))
    # A lane, or a slot of a limit, that was freed just now may have its next delivery waiting.
    more = bool(full) or any(known[name].ordered or known[name].limited for name in counts)
    return Round(holding.tally, len(rows), full, more, again_in=again_in, returned=holding.returned)


def _handle(holding: Holding, rows: Sequence[Claimed], routes: Mapping[str, Route]) -> None:
    """Handle all of it, quick routes first; whatever happens, nothing stays held.

    Those with short leases come before those with long ones: a lease that was renewed before a
    call outlasts every call of its own length, but not a longer one.
    """
    groups: dict[str, list[Claimed]] = defaultdict(list)
    for row in rows:
        groups[row.route].append(row)
    try:
        for name in sorted(groups, key=lambda name: _turn(routes[name])):
            pace.weigh(name, sum(len(row.data) for row in groups[name]) / len(groups[name]))
            holding.turn_to(routes[name])
            RouteRun(holding, routes[name], groups[name]).run()
    finally:
        holding.finish()


def _turn(route: Route) -> tuple[float, float]:
    """Return by what the routes of a claim take turns."""
    return route.lease, pace.seconds(route)


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
