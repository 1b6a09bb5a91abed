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
_LEAST: dict[str, float] = {
    "EVENTS_MAX_PAYLOAD_BYTES": 64,
    "EVENTS_RETENTION_DAYS": 0,
    "EVENTS_WAKEUP_COALESCE_MS": 0,
    "EVENTS_TASK_SECONDS": 0.05,
    "EVENTS_LINGER_SECONDS": 0,
    "EVENTS_SWEEP_SECONDS": 0.1,
}


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
    if name in _LEAST and not _is_number(value, _LEAST[name]):
        return f"{name} is {value!r}; it must be a number of at least {_LEAST[name]:g}."
    return None


def _is_number(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least


conf = EventsSettings()
