"""The event engine. What each value means stands in `core.events.conf`."""

__all__ = [
    "EVENTS_DATABASE",
    "EVENTS_MAX_PAYLOAD_BYTES",
    "EVENTS_MODE",
    "EVENTS_RETENTION_DAYS",
]

from .environment import env

EVENTS_DATABASE = "default"
EVENTS_MODE = env.choice("EVENTS_MODE", "celery", ["celery", "inline"])
EVENTS_MAX_PAYLOAD_BYTES = env.integer("EVENTS_MAX_PAYLOAD_BYTES", 262_144, minimum=1024)
EVENTS_RETENTION_DAYS = env.integer("EVENTS_RETENTION_DAYS", 90, minimum=1)
