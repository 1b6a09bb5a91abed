"""Holding: the deliveries of one claim, from their lease until they are settled or released."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections

from core.events.declarations import delivery_died
from core.events.event import Event
from core.events.pace import pace
from core.events.routing import Route
from core.events.state import State
from core.events.store import Claimed, Release, Store
from core.events.stored import readable
from core.events.tally import Tally, soonest

logger = logging.getLogger(__name__)

# Done work is settled together with what is done within this time, in seconds.
_SETTLE_WITHIN = 0.02
# Leases are renewed once this part of that of the route at work has passed.
_RENEW_AFTER = 0.05

Written = TypeVar("Written")


class Holding:
    """The deliveries of one claim, held under one token until they are settled or released."""

    def __init__(
        self,
        store: Store,
        token: int,
        rows: Sequence[Claimed],
        routes: Mapping[str, Route],
        deadline: float | None,
    ) -> None:
        self.store = store
        self.alias = store.alias
        self.token = token
        self.tally = Tally()
        self.returned: list[int] = []
        self.again_in: float | None = None
        self._rows = {row.id: row for row in rows}
        self._routes = routes
        self._deadline = deadline
        self._leased_at = time.monotonic()
        # The lease of the route at work.
        self._lease = 0.0
        self._done: list[int] = []
        self._unwritten_since: float | None = None
        self._releases: list[Release] = []
        self._started: set[int] = set()
        self._dying: dict[int, tuple[Route, Event]] = {}
        self.calling: set[int] = set()

    def turn_to(self, route: Route) -> None:
        """Go on with the next route; what waits to be written goes first if this one takes long."""
        if route.lease > self._lease or pace.seconds(route) > _SETTLE_WITHIN:
            self._flush()
        self._lease = route.lease

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

    def finish(self) -> None:
        """Write all that is not written yet, and give back what was not handled."""
        try:
            self._flush()
        finally:
            self._releases = [
                self._interrupted(row, self._routes[row.route]) for row in self._rows.values()
            ]
            self._flush()

    # -- inside ---------------------------------------------------------------------------

    def _renew(self) -> None:
        """Renew all that is not through yet; forget what another holds by now."""
        through = {release.id for release in self._releases} | set(self._done)
        members: dict[float, list[int]] = defaultdict(list)
        for row in self._rows.values():
            if row.id not in through:
                members[self._routes[row.route].lease].append(row.id)
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


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)
