"""SignalRegistry: where signals are wired to handlers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from django.apps import apps
from django.dispatch import Signal
from django.utils.module_loading import import_string

from core.events.errors import (
    EventPayloadError,
    InvalidRoute,
    InvalidSignal,
    UnknownOption,
    UnknownRoute,
)
from core.events.outbox import sender_label
from core.events.retry import Backoff
from core.events.routing import Rate, Route, Routing, dotted_path, is_same_code, routing
from core.events.signals import OPTIONS, EventSignal, check_sensitive, refuse_unknown
from core.events.suggest import did_you_mean

Handler = TypeVar("Handler", bound=Callable[..., Any])
Payload = Callable[..., Mapping[str, Any]]

_DEFAULTS: dict[str, Any] = {
    "name": None,
    "queue": "default",
    "batch_size": 1,
    "atomic": False,
    "ordered": False,
    "coalesce": False,
    "sender": None,
    "when": None,
    "max_attempts": 25,
    "backoff": Backoff(),
    "lease": 60.0,
    "at_most_once": False,
    "rate": None,
    "concurrency": None,
    "replay": True,
}
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"(?P<count>[0-9]{1,9})/(s|m|h|d|sec|min|second|minute|hour|day)")


_SIGNAL_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(EventSignal).parameters.items()
    if name in OPTIONS
}


class SignalRegistry:
    """The wiring table: signals, or globs over event names, and their handlers."""

    def __init__(self, table: Routing | None = None) -> None:
        self._routing = Routing() if table is None else table
        self._adopted: dict[str, _Adoption] = {}

    def route(self, *signals_or_globs: EventSignal | str, **options: Any) -> Callable[..., Any]:
        """Return a decorator that makes a function or a Celery task the handler of these events.

        The options are those of `Route`; see docs/reference. A handler may also be given as a
        dotted path: `registry.route(order_paid)("shop.handlers.send_receipt")`.
        A function may have several routes, each with a `name` of its own.
        Raises InvalidRoute or UnknownOption that name the value, DuplicateRoute when the name
        belongs to another function, or to this one with other signals or options.
        """
        chosen = _complete(options)
        patterns = _patterns(signals_or_globs)

        def register(handler: Handler | str) -> Handler:
            found: Handler = _load(handler)
            self._routing.add(_build(found, patterns, chosen))
            return found

        return register

    def adopt(
        self,
        signal: Signal,
        name: str,
        *,
        payload: Payload | None = None,
        **options: Any,
    ) -> EventSignal:
        """Make anyone's Django signal durable: each sending fires the returned EventSignal.

        `payload(sender=..., **arguments)` returns the payload; without it, the arguments are the
        payload as they are. A sender whose class says `emits_events = False`, as the models of the
        engine and of the effects do, fires nothing, nor does a model within a migration. The
        options are those of EventSignal. Again with the same name, payload and options, it returns
        the same EventSignal. Raises InvalidRoute for what is no signal, InvalidSignal or
        UnknownSignalOption that name the value, also for one that differs from the first time.
        """
        if not isinstance(signal, Signal):
            raise InvalidRoute(f"adopt({signal!r}): give a django.dispatch.Signal")
        if payload is not None and not callable(payload):
            raise InvalidSignal(
                f"adopt({name!r}, payload={payload!r}): it must be a function that takes the "
                "sender and the arguments, and returns the payload"
            )
        refuse_unknown(f"adopt({name!r})", options.keys() - OPTIONS, ("payload", *OPTIONS))
        if known := self._adopted.get(name):
            if known.signal is not signal:
                raise InvalidRoute(f"another signal was adopted as {name!r}; choose another name")
            if differing := known.differing(payload, options):
                raise InvalidSignal(
                    f"adopt({name!r}): it was adopted with another {' and '.join(differing)} "
                    "already; say the same both times, or choose another name"
                )
            return known.event_signal
        event_signal = EventSignal(name, **options)

        def forward(sender: Any, **arguments: Any) -> None:
            if not getattr(sender, "emits_events", True) or _is_historical(sender):
                # The engine's and the effects' own rows would cause events without end; a
                # migration may run before there is a table for events.
                return
            arguments.pop("signal", None)
            data = payload(sender=sender, **arguments) if payload else arguments
            try:
                event_signal.send_many(sender, [data])
            except EventPayloadError as error:
                if payload is not None or error.details.get("signal") != name:
                    raise
                # Whoever adopted it does not decide what is sent with it.
                raise EventPayloadError(
                    f"{error}; or say what to keep of it: registry.adopt(..., payload=...)",
                    details=error.details,
                ) from None

        signal.connect(forward, weak=False, dispatch_uid=f"signalbox.adopt:{name}")
        self._adopted[name] = _Adoption(signal, event_signal, payload)
        return event_signal

    def routes(self, event_name: str | EventSignal | None = None) -> list[Route]:
        """Return all routes, or those that an event of this name takes."""
        if event_name is None:
            return list(self._routing)
        return list(self._routing.match(str(getattr(event_name, "name", event_name))))

    def unroute(self, name: str) -> Route:
        """Remove a route and return it. Raises UnknownRoute when there is none."""
        route = self._routing.remove(name)
        if route is None:
            raise UnknownRoute(f"there is no route {name!r}{did_you_mean(name, self._names())}")
        return route

    def _names(self) -> list[str]:
        return [route.name for route in self._routing]


class _Adoption(NamedTuple):
    """A Django signal, and what became of it."""

    signal: Signal
    event_signal: EventSignal
    payload: Payload | None

    def differing(self, payload: Payload | None, options: Mapping[str, Any]) -> list[str]:
        """Return the names of what would be different if it were adopted like this."""
        asked = {**_SIGNAL_DEFAULTS, **options}
        asked["sensitive"] = set(check_sensitive(self.event_signal.name, asked["sensitive"]))
        known = {option: getattr(self.event_signal, option) for option in asked}
        pairs = {"payload": (self.payload, payload)}
        pairs |= {option: (known[option], asked[option]) for option in asked}
        return [name for name, pair in pairs.items() if not _is_same(*pair)]


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether two options are the same, though their module may have been loaded twice."""
    if isinstance(one, type) and isinstance(other, type):
        return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)
    return one == other or is_same_code(one, other)


def _is_historical(sender: Any) -> bool:
    """Tell whether a sender is a model of a migration, and not one of an installed app."""
    return getattr(getattr(sender, "_meta", None), "apps", apps) is not apps


def _complete(options: Mapping[str, Any]) -> dict[str, Any]:
    for option in options:
        if option not in _DEFAULTS:
            raise UnknownOption(
                f"{option!r} is not an option of route(){did_you_mean(option, list(_DEFAULTS))}; "
                f"the options are {', '.join(_DEFAULTS)}"
            )
    return {**_DEFAULTS, **options}


def _patterns(signals_or_globs: tuple[Any, ...]) -> tuple[str, ...]:
    patterns = tuple(getattr(each, "name", each) for each in signals_or_globs)
    if not patterns:
        raise InvalidRoute("route() needs a signal or a glob over event names, such as 'order.*'")
    for pattern in patterns:
        if not isinstance(pattern, str) or not pattern:
            raise InvalidRoute(
                f"route({pattern!r}): give an EventSignal or a glob over event names; "
                "a plain Django signal becomes one by registry.adopt()"
            )
    return patterns


def _load(handler: Any) -> Any:
    if isinstance(handler, str):
        try:
            handler = import_string(handler)
        except ImportError as error:
            raise InvalidRoute(f"the handler {handler!r} cannot be imported: {error}") from error
    if not callable(handler):
        raise InvalidRoute(f"the handler {handler!r} is not callable; give a function or a task")
    _check_shape(getattr(handler, "run", handler))
    return handler


def _check_shape(handler: Any) -> None:
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise InvalidRoute(f"the handler {handler!r} is a generator, which a call does not run")
    try:
        signature = inspect.signature(handler)
    except ValueError:
        # Some functions written in C do not tell.
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise InvalidRoute(
            f"the handler {handler!r} cannot be called with one argument, the event or the list "
            f"of events: {error}"
        ) from error


def _build(handler: Any, patterns: tuple[str, ...], options: dict[str, Any]) -> Route:
    name = options["name"]
    if name is None:
        if not hasattr(getattr(handler, "run", handler), "__qualname__"):
            raise InvalidRoute(f"the handler {handler!r} has no name of its own; give name=...")
        name = dotted_path(handler)
    checked = dict(options, name=name)
    for option, check in _CHECKS.items():
        problem = check(checked[option])
        if problem:
            raise InvalidRoute(f"route {name!r}: {option}={checked[option]!r} {problem}")
    _check_together(name, checked)
    checked["rate"] = _rate(checked["rate"])
    checked["lease"] = float(checked["lease"])
    if not isinstance(checked["sender"], type | str | None):
        raise InvalidRoute(
            f"route {name!r}: sender={checked['sender']!r} must be a model, a class or a label "
            "such as 'shop.order'"
        )
    if checked["sender"] is not None:
        checked["sender"] = _sender(checked["sender"])
    return Route(handler=handler, patterns=patterns, **checked)


def _sender(sender: Any) -> str:
    """Return the label that events of this sender are recorded with."""
    try:
        if isinstance(sender, str) and sender.count(".") == 1:
            return str(apps.get_model(sender)._meta.label_lower)
    except LookupError:
        pass
    return sender_label(sender)


def _check_together(name: str, options: dict[str, Any]) -> None:
    if options["at_most_once"] and (options["atomic"] or options["batch_size"] > 1):
        raise InvalidRoute(
            f"route {name!r}: at_most_once marks each delivery before its call, so it goes "
            "neither with atomic nor with a batch_size over 1"
        )
    if options["coalesce"] and options["batch_size"] == 1:
        raise InvalidRoute(f"route {name!r}: coalesce works within a batch; give a batch_size")


def _text(longest: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable():
            return None
        return f"must be a text of 1 to {longest} characters that can be printed"

    return check


def _whole(least: int, most: int, optional: bool = False) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if optional and value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return None
        return f"must be a whole number from {least} to {most}"

    return check


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be True or False"


def _seconds(value: Any) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if number and 0.1 <= value <= 86400 else "must be from 0.1 to 86400 seconds"


def _check_when(value: Any) -> str | None:
    if value is None or (callable(value) and not inspect.iscoroutinefunction(value)):
        return None
    return "must be a plain function of the event"


def _check_backoff(value: Any) -> str | None:
    return None if isinstance(value, Backoff) else "must be a Backoff, such as Backoff(first=1)"


def _check_rate(value: Any) -> str | None:
    if value is None:
        return None
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found and int(found["count"]) > 0:
        return None
    return "must be like '10/s', '100/m', '1000/h' or '5000/d', with a count of at least 1"


def _rate(value: str | None) -> Rate | None:
    if value is None:
        return None
    count, _, period = value.partition("/")
    return Rate(int(count), _PERIODS[period[0]])


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "name": _text(200),
    "queue": _text(100),
    "batch_size": _whole(1, 10_000),
    "atomic": _flag,
    "ordered": _flag,
    "coalesce": _flag,
    "at_most_once": _flag,
    "replay": _flag,
    "when": _check_when,
    "max_attempts": _whole(1, 1_000_000),
    "backoff": _check_backoff,
    "lease": _seconds,
    "rate": _check_rate,
    "concurrency": _whole(1, 10_000, optional=True),
}

registry = SignalRegistry(routing)
