"""What can go wrong in the engine; each class's docstring is its default message."""

from __future__ import annotations

from core.exceptions import AppException


class EventsError(AppException):
    """The event engine could not do this."""

    default_code = "EVENTS_ERROR"


class InvalidSignal(EventsError, ValueError):
    """The declaration of this signal is not valid."""

    default_code = "INVALID_SIGNAL"


class UnknownSignalOption(InvalidSignal, TypeError):
    """There is no such option of a signal."""

    default_code = "UNKNOWN_SIGNAL_OPTION"


class InvalidRoute(EventsError, ValueError):
    """The options of this route are not valid."""

    default_code = "INVALID_ROUTE"


class UnknownOption(InvalidRoute, TypeError):
    """There is no such route option."""

    default_code = "UNKNOWN_ROUTE_OPTION"


class DuplicateRoute(InvalidRoute):
    """Another function is registered under this route name."""

    default_code = "DUPLICATE_ROUTE"


class UnknownRoute(EventsError, LookupError):
    """There is no route of this name."""

    default_code = "UNKNOWN_ROUTE"


class EventPayloadError(EventsError, ValueError):
    """The payload of this event cannot be recorded or read."""

    status_code = 400
    default_code = "EVENT_PAYLOAD"


class UndeclaredEvent(EventsError, LookupError):
    """The signal of this event is not declared."""

    default_code = "UNDECLARED_EVENT"


class TransactionMismatch(EventsError):
    """An event cannot join a transaction of another database."""

    default_code = "TRANSACTION_MISMATCH"


class LeaseExpired(EventsError):
    """The handler took longer than its lease."""

    default_code = "LEASE_EXPIRED"


class HandlerQuit(EventsError):
    """The handler tried to end the process."""

    default_code = "HANDLER_QUIT"


class LeaseLost(EventsError):
    """Another worker holds some of these deliveries now."""

    default_code = "LEASE_LOST"


class SettingsError(EventsError, ValueError):
    """A setting of the event engine is not valid."""

    default_code = "EVENTS_SETTINGS"
