"""What notifications tell the rest of the system, and themselves."""

from __future__ import annotations

from core.events import EventSignal

# A notification waits to be sent through a channel.
# Arguments: `notification_id` (of the row), `channel`.
notification_queued = EventSignal("notification.queued")
