"""The one logging configuration of all processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_FORMATS = ("text", "json")
_OF_DESTINATIONS = ("level", "filters", "formatter")

# These would otherwise have handlers and levels of their own, and lines would come twice or in
# another format: Django's, those of its development server, granian's.
_OWN_HANDLERS = ("django", "django.server", "_granian", "granian.access")
# Beat says every few seconds that something is due, and a worker that it has received a task; the
# worker's line that it is done, with its result, is enough. Of a wake-up that found nothing to
# deliver, since another one had done it, no line is needed.
_DUE = {"()": "core.logs.filters.Without", "beginning": "Scheduler: Sending due task"}
_RECEIVED = {"()": "core.logs.filters.Without", "beginning": "Task %(name)s[%(id)s] received"}
_IDLE = {"()": "core.logs.filters.WithoutIdleRuns", "task": "events.deliver"}
_QUIET = {
    "celery.beat": {"filters": ["due"]},
    "celery.app.trace": {"filters": ["idle"]},
    "celery.worker.strategy": {"filters": ["received"]},
}


def logging_config(
    *,
    service: str,
    level: str = "INFO",
    format: str = "text",
    file: str | None = None,
    file_bytes: int = 50_000_000,
    file_backups: int = 5,
    handlers: Mapping[str, Mapping[str, Any]] | None = None,
    loggers: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`: what Django's LOGGING takes.

    `service` names the process in each line. Lines go to standard error, to `file` if there is one
    (rotated at `file_bytes`, so many older ones are kept) and to `handlers`: by a name of yours
    what dictConfig takes, with the dotted path of a `class`. `loggers` sets levels of single
    loggers.
    Raises ValueError for an unknown level or format, no service, or a handler without class.
    """
    for name, value, known in (("level", level, _LEVELS), ("format", format, _FORMATS)):
        if value not in known:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(known)}")
    if not isinstance(service, str) or not service:
        raise ValueError(f"service={service!r}: give the name of this process, such as 'web'")
    for name, given in (handlers or {}).items():
        if not isinstance(given, Mapping) or "class" not in given:
            raise ValueError(f"handlers[{name!r}]={given!r}: give a mapping with a 'class'")
    found: dict[str, Mapping[str, Any]] = {"console": {"class": "core.logs.destinations.Console"}}
    if file:
        found["file"] = {
            "class": "core.logs.destinations.SharedFile",
            "path": str(file),
            "max_bytes": file_bytes,
            "backups": file_backups,
        }
    found.update(handlers or {})
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": "core.logs.formatter.LineFormatter",
                "service": service,
                "format": format,
            }
        },
        "filters": {"due": _DUE, "received": _RECEIVED, "idle": _IDLE},
        "handlers": {name: _destination(name, given) for name, given in found.items()},
        "root": {"handlers": list(found), "level": level},
        "loggers": {
            **{
                name: {"handlers": [], "level": "NOTSET", "propagate": True}
                for name in _OWN_HANDLERS
            },
            **_QUIET,
            **(loggers or {}),
        },
    }


def _destination(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: given[key] for key in _OF_DESTINATIONS if key in given}
    options = {key: value for key, value in given.items() if key not in {*known, "class"}}
    return {
        "()": "core.logs.destinations.Destination",
        "formatter": "line",
        **known,
        "label": f"{name} ({options['path']})" if "path" in options else name,
        "factory": given["class"],
        "options": options,
    }
