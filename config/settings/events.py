"""The event engine. What each value means stands in `core.events.conf`."""

__all__ = [
    "EVENTS_DATABASE",
    "EVENTS_DOORBELL_URL",
    "EVENTS_LINGER_SECONDS",
    "EVENTS_MAX_PAYLOAD_BYTES",
    "EVENTS_MODE",
    "EVENTS_PREPARED_STATEMENTS",
    "EVENTS_RETENTION_DAYS",
    "EVENTS_SWEEP_SECONDS",
    "EVENTS_TASK_SECONDS",
    "EVENTS_WAKEUP_COALESCE_MS",
]

from .environment import env

EVENTS_DATABASE = env.text("EVENTS_DATABASE", "default")
EVENTS_MODE = env.choice("EVENTS_MODE", "celery", ["celery", "inline"])
EVENTS_MAX_PAYLOAD_BYTES = env.integer("EVENTS_MAX_PAYLOAD_BYTES", 262_144, minimum=64)
EVENTS_RETENTION_DAYS = env.integer("EVENTS_RETENTION_DAYS", 90)
EVENTS_WAKEUP_COALESCE_MS = env.seconds("EVENTS_WAKEUP_COALESCE_MS", 1)
EVENTS_TASK_SECONDS = env.seconds("EVENTS_TASK_SECONDS", 1, minimum=0.05)
EVENTS_LINGER_SECONDS = env.seconds("EVENTS_LINGER_SECONDS", 0.25)
EVENTS_DOORBELL_URL = (
    env.url("EVENTS_DOORBELL_URL", "", schemes=["redis", "rediss", "unix"]) or None
)
EVENTS_SWEEP_SECONDS = env.seconds("EVENTS_SWEEP_SECONDS", 2, minimum=0.1)
EVENTS_PREPARED_STATEMENTS = env.flag(
    "EVENTS_PREPARED_STATEMENTS", not env.flag("DATABASE_TRANSACTION_POOLER", False)
)
