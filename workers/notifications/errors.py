"""How sending a message can go wrong; each says what becomes of the notification."""

from __future__ import annotations

from core.exceptions import ExternalServiceError, ServiceTimeoutError, ValidationError


class TemplateError(ValidationError):
    """The template of this notification is missing or does not fit its values."""

    default_code = "NOTIFICATION_TEMPLATE"


class NotSentError(ExternalServiceError):
    """The provider did not take the message this time; it will be tried again."""

    default_code = "NOT_SENT"


class BusyError(NotSentError):
    """The provider is busy; it will be asked again later, however often that takes.

    `after` is the pause in seconds that the provider asked for, if it did.
    """

    default_code = "PROVIDER_BUSY"

    def __init__(self, message: str | None = None, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class RefusedError(ExternalServiceError):
    """The provider refused the message for good, as for a bad number."""

    default_code = "MESSAGE_REFUSED"


class OutcomeUnknownError(ServiceTimeoutError):
    """The provider may or may not have taken the message; a person has to decide."""

    default_code = "OUTCOME_UNKNOWN"
