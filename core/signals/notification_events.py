"""Business news that somebody must hear about."""

from core.events import EventSignal

# Provides: recipient (the user) or recipient_id (str: the user's key); channel ("in_app", "sms"
# or "email") or channels (list of them), those that the person prefers if left out; address (str:
# phone number or e-mail) where the channel needs one; template (str: its name) and context (dict:
# what its text uses), or subject and body (str) as they are; mandatory (bool: also to people
# who switched the channel off, as for a code that they wait for).
notification_requested = EventSignal(
    "notification.requested", sensitive={"address", "body", "context", "subject"}
)

# Provides: type (str, such as "invoice.issued"), and whatever describes that business event.
business_event = EventSignal("business.event")
