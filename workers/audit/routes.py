"""What is audited: everything that happens, but for what is measured, sent or technical."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache

from django.conf import settings

from core.events import Event, registry

from .writer import write

# Activity and metrics go to analytics, notifications keep a record of their own, cache events are
# housekeeping, and request logs are logs.
NOT_AUDITED = (
    "user.activity",
    "performance.metric",
    "notification.*",
    "cache.*",
    "request.*",
)


def is_audited(event: Event) -> bool:
    """Tell whether this event belongs into the audit log; `AUDIT_EXCLUDED` adds exceptions."""
    return not _matches(event.name, (*NOT_AUDITED, *getattr(settings, "AUDIT_EXCLUDED", ())))


@lru_cache(maxsize=1024)
def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


# The audit log is history, not derived state: a replay leaves it out unless it is named, and even
# then an event that is there already is not written twice.
@registry.route(
    "*",
    name="audit.record",
    queue="audit",
    batch_size=500,
    atomic=True,
    lease=15,
    replay=False,
    when=is_audited,
)
def record(events: list[Event]) -> None:
    """Write one audit row per event and subject."""
    write(events)
