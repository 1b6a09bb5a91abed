"""In the app: the row is the message."""

from __future__ import annotations

from .base import Outgoing


class InAppChannel:
    """Shows notifications where people work; there is nothing to send."""

    name = "in_app"
    instant = True
    repeatable = True

    def send(self, message: Outgoing) -> str:
        """Return no id: whoever reads the row has the message."""
        return ""
