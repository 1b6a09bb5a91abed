"""Handling: the calls of one route within a claim, and what becomes of each delivery."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction

from core.context import Context, using_context
from core.events.declarations import declared
from core.events.errors import EventPayloadError, HandlerQuit, LeaseLost, UndeclaredEvent
from core.events.event import Event
from core.events.interrupt import bounded
from core.events.nesting import shielded
from core.events.pace import pace
from core.events.payload import decode
from core.events.retry import Discard, PartialFailure, Retry
from core.events.routing import Route
from core.events.state import State, delivery_id
from core.events.store import Claimed, Release
from core.events.trouble import describe, drop_if_broken, is_passing, secrets_of, trace

if TYPE_CHECKING:
    from core.events.delivery import Holding

logger = logging.getLogger(__name__)

# So many lone failures in a row are an outage of what the handler needs, not poison.
_OUTAGE = 3


@dataclass(slots=True)
class Unit:
    """What a handler sees as one event; with `coalesce`, older ones of its key share its fate."""

    event: Event
    members: list[Claimed]
    called: bool = False

    @property
    def lead(self) -> Claimed:
        return self.members[-1]

    @property
    def ids(self) -> list[int]:
        return [row.id for row in self.members]

    def keep(self, held: Container[int]) -> bool:
        """Forget the members that are not held any more; return whether any is left.

        When the newest is gone, the event is that of the newest left: the other is another's now.
        """
        lead = self.lead
        self.members = [row for row in self.members if row.id in held]
        if self.members and self.lead is not lead:
            self.event, self.called = with_data(envelope(self.lead), self.lead.data), False
        return bool(self.members)

    def secrets(self) -> set[str]:
        """Return the sensitive values of the event, for hiding them."""
        return secrets_of(self.event, self.lead.data)

    def fresh_event(self) -> Event:
        """Return the event for a call: what a call before changed in its payload is not seen."""
        if self.called:
            self.event = with_data(envelope(self.lead), self.lead.data)
        self.called = True
        return self.event


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
            event = envelope(row)
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
        error = self._call(units)
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

    def _call(self, units: list[Unit]) -> Exception | None:
        try:
            events = [unit.fresh_event() for unit in units]
            self._holding.calling = {id for unit in units for id in unit.ids}
            with using_context(context_of(events)):
                if self._route.atomic:
                    self._call_atomically(units, events)
                else:
                    with shielded(self._holding.alias), bounded(self._route.lease):
                        self._route.call(events)
        except Exception as error:
            return error
        except (SystemExit, asyncio.CancelledError) as error:
            if is_order(error):
                raise
            return HandlerQuit(f"the handler raised {type(error).__name__}: {error}")
        return None

    def _call_atomically(self, units: list[Unit], events: list[Event]) -> None:
        # One transaction for the effects and the settlement: both happen, or neither. A savepoint
        # would not do, since deferred constraints speak at COMMIT.
        with transaction.atomic(using=self._holding.alias), bounded(self._route.lease):
            self._route.call(events)
            ids = [id for unit in units for id in unit.ids]
            if self._holding.settle(ids, "done") != len(ids):
                raise LeaseLost()

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


def secrets_in(units: Iterable[Unit]) -> set[str]:
    """Return the sensitive values of all these events."""
    return {secret for unit in units for secret in unit.secrets()}


def is_order(error: BaseException) -> bool:
    """Tell whether this is Celery telling its process to stop, and not the handler's own exit."""
    if type(error) not in (SystemExit, asyncio.CancelledError):
        return True
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    raised_in = frame.tb_frame.f_globals.get("__name__", "") if frame is not None else ""
    return str(raised_in).partition(".")[0] in ("billiard", "celery")


def batched(units: Sequence[Unit], size: int) -> list[list[Unit]]:
    """Return the units in lists of at most this size."""
    return [list(units[start : start + size]) for start in range(0, len(units), size)]


def sorted_out(
    units: Iterable[Unit], errors: Container[UUID]
) -> tuple[list[Unit], list[Unit], list[Unit]]:
    """Return the units that failed, those ahead of any failure in their lane, and those behind."""
    failed: list[Unit] = []
    ahead: list[Unit] = []
    behind: list[Unit] = []
    lanes: set[str] = set()
    for unit in units:
        lane = unit.lead.lane
        if unit.event.id in errors:
            failed.append(unit)
            lanes |= {lane} if lane is not None else set()
        else:
            (behind if lane in lanes else ahead).append(unit)
    return failed, ahead, behind


def coalesced(units: Iterable[Unit]) -> list[Unit]:
    """Return the newest unit of each key, holding the older ones; without a key each its own."""
    newest: dict[object, Unit] = {}
    for unit in units:
        key = unit.event.key if unit.event.key is not None else unit.event.id
        older = newest.pop(key, None)
        if older is not None:
            unit.members = [*older.members, *unit.members]
        newest[key] = unit
    return list(newest.values())


def envelope(row: Claimed) -> Event:
    """Return the event of a delivery, its payload still unread."""
    return Event(
        id=row.event_id,
        name=row.name,
        version=row.version,
        data={},
        sender=row.sender,
        key=row.key,
        occurred_at=row.occurred_at,
        actor_id=row.actor_id,
        tenant_id=row.tenant_id,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        delivery_id=delivery_id(row.event_id, row.id),
        attempt=row.attempts + 1,
        sensitive=_sensitive(row),
    )


def _sensitive(row: Claimed) -> frozenset[str]:
    """Return which fields were sensitive when the event was fired, or are so now."""
    stored, signal = _names(row.sensitive), declared.get(row.name)
    return stored if signal is None or signal.sensitive <= stored else stored | signal.sensitive


@lru_cache(maxsize=1024)
def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def with_data(event: Event, text: str) -> Event:
    """Return the event with its payload, brought to the declared version.

    Raises UndeclaredEvent when no signal has its name, EventPayloadError when the payload cannot
    be read or its version cannot be reached.
    """
    signal = declared.get(event.name)
    if signal is None:
        raise UndeclaredEvent(
            f"no signal is declared for the event {event.name!r}: declare it again, "
            "or discard its deliveries with `manage.py events discard`"
        )
    data = decode(text)
    if event.version > signal.version:
        raise EventPayloadError(
            f"{event.name}: version {event.version} was stored, but this process declares "
            f"{signal.version}: deploy the code that wrote it"
        )
    if event.version < signal.version:
        if signal.upcast is None:
            raise EventPayloadError(
                f"{event.name}: version {event.version} was stored and {signal.version} is "
                "declared, but the signal has no `upcast` to get there"
            )
        data = signal.upcast(data, event.version)
        if not isinstance(data, dict):
            raise EventPayloadError(
                f"{event.name}: upcast returned {type(data).__name__}, it must return a dict"
            )
    # The event is frozen for its readers; here it is still being made.
    object.__setattr__(event, "data", data)
    object.__setattr__(event, "version", signal.version)
    return event


def readable(row: Claimed) -> Event:
    """Return the event of a delivery, with its payload if that can be read."""
    event = envelope(row)
    try:
        return with_data(event, row.data)
    except Exception:
        # Why it cannot be read is what its delivery failed with.
        return event


def context_of(events: Sequence[Event]) -> Context:
    """Return what a handler's own events inherit: what all the events that it handles share."""
    first = events[0]
    if len(events) == 1:
        return Context(first.actor_id, first.tenant_id, first.correlation_id, first.id)

    def common(name: str) -> str | None:
        values = {getattr(event, name) for event in events}
        return values.pop() if len(values) == 1 else None

    return Context(common("actor_id"), common("tenant_id"), common("correlation_id"), None)
