"""The event engine: signals that are recorded, and routes that are delivered.

This is the public API, and nothing else.
"""

from core.context import event_context
from core.events.declarations import delivery_died
from core.events.errors import (
    DuplicateRoute,
    EventPayloadError,
    EventsError,
    InvalidRoute,
    InvalidSignal,
    TransactionMismatch,
    UndeclaredEvent,
    UnknownOption,
    UnknownRoute,
    UnknownSignalOption,
)
from core.events.event import Event, ModelRef
from core.events.outbox import capture_events, muted
from core.events.registry import SignalRegistry, registry
from core.events.retry import Backoff, Discard, PartialFailure, Retry
from core.events.routing import Route
from core.events.signals import EventSignal
from core.events.testing import deliver_pending

__all__ = [
    "Backoff",
    "Discard",
    "DuplicateRoute",
    "Event",
    "EventPayloadError",
    "EventSignal",
    "EventsError",
    "InvalidRoute",
    "InvalidSignal",
    "ModelRef",
    "PartialFailure",
    "Retry",
    "Route",
    "SignalRegistry",
    "TransactionMismatch",
    "UndeclaredEvent",
    "UnknownOption",
    "UnknownRoute",
    "UnknownSignalOption",
    "capture_events",
    "deliver_pending",
    "delivery_died",
    "event_context",
    "muted",
    "registry",
]
