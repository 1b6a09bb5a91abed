"""Handling: the calls of one route within a claim, and what becomes of each delivery."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from core.context import bound_fields, using_context
from core.events.calls import call, context_of, fields_of
from core.events.errors import LeaseLost
from core.events.holding import Holding
from core.events.pace import pace
from core.events.retry import Discard, PartialFailure, Retry
from core.events.routing import Route
from core.events.state import State
from core.events.store import Claimed, Release
from core.events.stored import claimed_event, with_data
from core.events.trouble import describe, drop_if_broken, is_passing, trace
from core.events.units import Unit, batched, coalesced, secrets_in, sorted_out

logger = logging.getLogger(__name__)

# So many lone failures in a row are an outage of what the handler needs, not poison.
_OUTAGE = 3


class RouteRun:
    """The deliveries of one route in one claim, from their first call to their settlement."""

    def __init__(self, holding: Holding, route: Route, rows: Sequence[Claimed]) -> None:
        self._holding = holding
        self._route = route
        self._blocked: set[str] = set()
        self._lone_failures = 0
        self._units = self._read(rows)

    def run(self) -> None:
        """Handle everything, a batch at a time; what the deadline cuts off goes back."""
        batches = batched(self._units, self._route.batch_size)
        for number, batch in enumerate(batches):
            if number and self._holding.overdue():
                self._give_back(unit for rest in batches[number:] for unit in rest)
                return
            self._handle(batch)

    # -- reading --------------------------------------------------------------------------

    def _read(self, rows: Sequence[Claimed]) -> list[Unit]:
        units = []
        for row in rows:
            event = claimed_event(row)
            try:
                event = with_data(event, row.data)
            except Exception as error:
                self._charge(Unit(event, [row]), error)
            else:
                units.append(Unit(event, [row]))
        return coalesced(units) if self._route.coalesce else units

    # -- handling -------------------------------------------------------------------------

    def _handle(self, units: list[Unit]) -> None:
        units = self._without_blocked(units)
        if units and self._is_outage():
            self._put_off(units)
            return
        units = self._held(units)
        if not units:
            return
        started = time.monotonic()
        error = call(self._holding, self._route, units)
        pace.learn(self._route, len(units), time.monotonic() - started)
        self._conclude(units, error)

    def _without_blocked(self, units: list[Unit]) -> list[Unit]:
        blocked = [unit for unit in units if unit.lead.lane in self._blocked]
        if not blocked:
            return units
        self._give_back(blocked)
        return [unit for unit in units if unit.lead.lane not in self._blocked]

    def _held(self, units: list[Unit]) -> list[Unit]:
        ids = [id for unit in units for id in unit.ids]
        held = self._holding.keep(ids, started=self._route.at_most_once)
        return units if len(held) == len(ids) else [unit for unit in units if unit.keep(held)]

    # -- concluding -----------------------------------------------------------------------

    def _conclude(self, units: list[Unit], error: Exception | None) -> None:
        if error is None:
            self._done(units)
        elif isinstance(error, Retry):
            self._again(units, error)
        elif isinstance(error, Discard):
            self._discard(units, error)
        elif isinstance(error, PartialFailure):
            self._partly(units, error)
        elif isinstance(error, LeaseLost):
            self._handle_what_is_held(units)
        elif is_passing(error, self._holding.alias) and not self._route.at_most_once:
            self._bad_moment(units, error)
        elif len(units) > 1:
            self._split(units, error)
        else:
            self._charge(units[0], error)
            self._lone_failures += 1

    def _done(self, units: list[Unit]) -> None:
        self._lone_failures = 0
        ids = [id for unit in units for id in unit.ids]
        if self._route.atomic:
            self._holding.drop(ids)
        else:
            self._holding.done(ids, self._route)
        self._count("done", len(ids))

    def _again(self, units: list[Unit], retry: Retry) -> None:
        delay = retry.after
        for unit in units:
            self._block(unit)
            self._release(
                unit,
                State.WAITING,
                self._route.backoff.delay(unit.lead.attempts + 1) if delay is None else delay,
            )
        self._count("retried", sum(len(unit.members) for unit in units))

    def _discard(self, units: list[Unit], discard: Discard) -> None:
        ids = [id for unit in units for id in unit.ids]
        self._holding.discard(ids, self._route, describe(discard.reason, secrets_in(units)))
        self._count("discarded", len(ids))

    def _partly(self, units: list[Unit], partial: PartialFailure) -> None:
        unknown = partial.errors.keys() - {unit.event.id for unit in units}
        if unknown or not partial.errors:
            named = ", ".join(map(str, unknown)) or "no event"
            problem = ValueError(f"PartialFailure names {named}, which is not in the batch")
            self._conclude(units, problem)
            return
        failed, ahead, behind = sorted_out(units, partial.errors)
        if not self._route.atomic:
            self._done([*ahead, *behind])
        else:
            # Its transaction was rolled back, so what had succeeded has to happen again, except
            # for what follows a failure in an ordered lane.
            if ahead:
                self._handle(ahead)
            self._give_back(behind)
        for unit in failed:
            self._charge(unit, partial.errors[unit.event.id])

    def _handle_what_is_held(self, units: list[Unit]) -> None:
        ids = [id for unit in units for id in unit.ids]
        held = self._holding.store.held(ids, self._holding.token)
        self._holding.drop([id for id in ids if id not in held])
        rest = [unit for unit in units if unit.keep(held)]
        if rest:
            self._handle(rest)

    def _bad_moment(self, units: list[Unit], error: Exception) -> None:
        logger.warning(
            "route %s: %s while handling %d events; they are handled again",
            self._route.name,
            describe(error, secrets_in(units)),
            len(units),
        )
        drop_if_broken(self._holding.alias)
        for unit in units:
            self._block(unit)
            delay = self._route.backoff.delay(unit.lead.attempts + 1)
            self._release(unit, State.WAITING, delay, error=describe(error, unit.secrets()))
        self._count("released", sum(len(unit.members) for unit in units))

    def _split(self, units: list[Unit], error: Exception) -> None:
        logger.info(
            "route %s: a batch of %d failed and is split: %s",
            self._route.name,
            len(units),
            describe(error, secrets_in(units)),
        )
        middle = len(units) // 2
        self._handle(units[:middle])
        self._handle(units[middle:])

    def _charge(self, unit: Unit, error: object) -> None:
        """Count a failure of this unit alone: it waits for its next attempt, or it is dead."""
        self._block(unit)
        failures = unit.lead.failures + 1
        secrets = unit.secrets()
        text = describe(error, secrets)
        unknown = self._route.at_most_once and unit.called
        if unknown:
            text = f"outcome unknown: {text}"
        dead = unknown or failures >= self._route.max_attempts
        details = trace(error, secrets) if isinstance(error, BaseException) else text
        events = [unit.event]
        with using_context(context_of(events)), bound_fields(**fields_of(self._route, events)):
            self._log_failure(unit, details, failures, dead)
        if dead:
            self._release(unit, State.DEAD, None, failures=1, error=text)
        else:
            delay = self._route.backoff.delay(failures)
            self._release(unit, State.WAITING, delay, failures=1, error=text)
        self._count("dead" if dead else "failed", len(unit.members))

    def _log_failure(self, unit: Unit, details: str, failures: int, dead: bool) -> None:
        logger.log(
            logging.ERROR if dead else logging.WARNING,
            "route %s: event %s (%s), delivery %s: failure %d of %d%s\n%s",
            self._route.name,
            unit.event.id,
            unit.event.name,
            unit.event.delivery_id,
            failures,
            self._route.max_attempts,
            ", it is dead now" if dead else "",
            details,
        )

    def _is_outage(self) -> bool:
        return self._route.batch_size > 1 and self._lone_failures >= _OUTAGE

    def _put_off(self, units: list[Unit]) -> None:
        delay = self._route.backoff.delay(1)
        for unit in units:
            self._release(unit, State.WAITING, delay)
        self._count("released", sum(len(unit.members) for unit in units))

    def _give_back(self, units: Iterable[Unit]) -> None:
        for unit in units:
            self._release(unit, State.READY, None)
            self._count("released", len(unit.members))

    def _block(self, unit: Unit) -> None:
        if unit.lead.lane is not None:
            self._blocked.add(unit.lead.lane)

    def _release(
        self,
        unit: Unit,
        state: State,
        delay: float | None,
        *,
        failures: int = 0,
        error: str | None = None,
    ) -> None:
        attempts = 1 if unit.called or failures else 0
        releases = [Release(id, state, delay, attempts, failures, error) for id in unit.ids]
        if state == State.DEAD:
            self._holding.will_die(self._route, unit.event, unit.members)
        self._holding.release(releases)

    def _count(self, outcome: str, number: int) -> None:
        if number:
            self._holding.tally.add(self._route.name, outcome, number)
