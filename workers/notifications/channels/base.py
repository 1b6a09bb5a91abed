"""What a channel is, and what it gets to send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as a channel sees it; `delivery_id` is the same over all attempts."""

    delivery_id: str
    address: str = field(repr=False)
    subject: str = field(default="", repr=False)
    body: str = field(default="", repr=False)


class MessageChannel(Protocol):
    """A way to reach a person."""

    @property
    def name(self) -> str:
        """The value of `Notification.channel`."""

    @property
    def instant(self) -> bool:
        """Whether the stored row is the message already, so that nothing is to be sent."""

    @property
    def repeatable(self) -> bool:
        """Whether sending one message twice does no harm, since the other side can tell."""

    def send(self, message: Outgoing) -> str | None:
        """Send and return the provider's id; None when there is no provider, so it was only logged.

        Raises NotSentError (BusyError) when it may be tried again, RefusedError when it never will
        work, and OutcomeUnknownError when the provider may have taken it.
        """
