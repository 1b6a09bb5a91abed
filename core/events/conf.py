"""The engine's settings: read here and nowhere else, each with its default."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings

from core.events.errors import SettingsError

DEFAULTS: dict[str, Any] = {
    # Alias of the database that holds the events; atomic handlers are exact there.
    "EVENTS_DATABASE": "default",
    # "celery": workers deliver. "inline": the firing process does, after commit.
    "EVENTS_MODE": "celery",
    # Bytes of JSON that one event may carry.
    "EVENTS_MAX_PAYLOAD_BYTES": 256 * 1024,
    # Days that settled events and their history are kept; 0 keeps them for ever.
    "EVENTS_RETENTION_DAYS": 90,
    # Milliseconds that wake-ups are gathered before they are sent.
    "EVENTS_WAKEUP_COALESCE_MS": 1,
    # Seconds that a delivery task goes on before it makes room for other tasks.
    "EVENTS_TASK_SECONDS": 1.0,
    # Seconds that a delivery task without work listens to its doorbell; 0 switches it off.
    "EVENTS_LINGER_SECONDS": 0.25,
    # Address of the Redis that carries the doorbell; None: the broker's, if it is a Redis.
    "EVENTS_DOORBELL_URL": None,
    # Seconds between two sweeps that a worker runs on its own timer.
    "EVENTS_SWEEP_SECONDS": 2.0,
    # Whether PostgreSQL may keep the statement that records an event; it must not where a pooler
    # mixes sessions.
    "EVENTS_PREPARED_STATEMENTS": False,
}

MODES = ("celery", "inline")
LONGEST_RETENTION_DAYS = 36_500
_WHOLE = ("EVENTS_MAX_PAYLOAD_BYTES", "EVENTS_RETENTION_DAYS")
# The least and the most of each number: past these a clock, a column or a timer gives up.
_RANGES: dict[str, tuple[float, float]] = {
    "EVENTS_MAX_PAYLOAD_BYTES": (64, 2**28),
    "EVENTS_RETENTION_DAYS": (0, LONGEST_RETENTION_DAYS),
    "EVENTS_WAKEUP_COALESCE_MS": (0, 60_000),
    "EVENTS_TASK_SECONDS": (0.05, 3600),
    "EVENTS_LINGER_SECONDS": (0, 60),
    "EVENTS_SWEEP_SECONDS": (0.1, 3600),
}
_DOORBELL_SCHEMES = ("redis://", "rediss://", "unix://")


class EventsSettings:
    """Typed access to the settings named `EVENTS_*`; changes in tests are seen at once."""

    @property
    def database(self) -> str:
        return str(_value("EVENTS_DATABASE"))

    @property
    def inline(self) -> bool:
        mode = _value("EVENTS_MODE")
        if mode not in MODES:
            raise SettingsError(problem("EVENTS_MODE", mode))
        return bool(mode == "inline")

    @property
    def max_payload_bytes(self) -> int:
        return int(_number("EVENTS_MAX_PAYLOAD_BYTES"))

    @property
    def retention_days(self) -> int:
        return int(_number("EVENTS_RETENTION_DAYS"))

    @property
    def wakeup_coalesce_seconds(self) -> float:
        return float(_number("EVENTS_WAKEUP_COALESCE_MS")) / 1000

    @property
    def task_seconds(self) -> float:
        return float(_number("EVENTS_TASK_SECONDS"))

    @property
    def linger_seconds(self) -> float:
        return float(_number("EVENTS_LINGER_SECONDS"))

    @property
    def doorbell_url(self) -> str | None:
        value = _value("EVENTS_DOORBELL_URL")
        return None if value is None else str(value)

    @property
    def sweep_seconds(self) -> float:
        return float(_number("EVENTS_SWEEP_SECONDS"))

    @property
    def prepared_statements(self) -> bool:
        return bool(_value("EVENTS_PREPARED_STATEMENTS"))


def _value(name: str) -> Any:
    return getattr(django_settings, name, DEFAULTS[name])


def _number(name: str) -> Any:
    value = _value(name)
    if not isinstance(value, int | float):
        raise SettingsError(problem(name, value))
    return value


def problem(name: str, value: Any) -> str | None:
    """Return what is wrong with the value of a setting, or None."""
    if name == "EVENTS_MODE" and value not in MODES:
        return f"EVENTS_MODE is {value!r}; it must be one of {', '.join(map(repr, MODES))}."
    if name == "EVENTS_DATABASE" and value not in django_settings.DATABASES:
        return f"EVENTS_DATABASE is {value!r}, which is not an alias in DATABASES."
    if name == "EVENTS_PREPARED_STATEMENTS" and not isinstance(value, bool):
        return f"EVENTS_PREPARED_STATEMENTS is {value!r}; it must be True or False."
    if name == "EVENTS_DOORBELL_URL" and not _is_doorbell(value):
        # Not the value: it may hold a password.
        return f"EVENTS_DOORBELL_URL must be None or begin with {', '.join(_DOORBELL_SCHEMES)}."
    if name in _RANGES and not _is_number(value, *_RANGES[name], whole=name in _WHOLE):
        least, most = _RANGES[name]
        kind = "whole number" if name in _WHOLE else "number"
        return f"{name} is {value!r}; it must be a {kind} of at least {least:g}, at most {most:,}."
    return None


def _is_doorbell(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.startswith(_DOORBELL_SCHEMES))


def _is_number(value: Any, least: float, most: float, *, whole: bool) -> bool:
    kind = int if whole else int | float
    return isinstance(value, kind) and not isinstance(value, bool) and least <= value <= most


conf = EventsSettings()
