"""Business news that somebody must hear about."""

from core.events import EventSignal

# Provides: recipient_id (str: the user's key), template (str: its name), context (dict: what the
# template's text uses), channels (list of str; those that the person prefers if left out).
notification_requested = EventSignal("notification.requested", sensitive={"context"})

# Provides: type (str, such as "invoice.issued"), and whatever describes that business event.
business_event = EventSignal("business.event")
