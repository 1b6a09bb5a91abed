"""Loggers, and the records about what crosses the system's border: requests, queries, calls."""

from __future__ import annotations

import logging
from typing import Any

from core.context import current_context
from core.logs.values import Values
from core.request_logs import hand_over

_OPTIONS = ("exc_info", "stack_info")


def get_logger(name: str) -> logging.Logger:
    """Return the logger of this name; a module passes its `__name__`, so that it can be filtered.

    Level, format and destinations are those of the one configuration.
    """
    return logging.getLogger(name)


class StructuredLogger:
    """A logger whose records carry fields: `log.info("paid", order_id=5)`.

    `bound` fields are in every record; correlation id and the fields of `bound_fields` are so too.
    Any name may be a field, but for `exc_info`, `stack_info` and `stacklevel`, which mean what they
    mean to `logging`.
    """

    def __init__(self, name: str, /, **bound: Any) -> None:
        self._logger = get_logger(name)
        self._bound = bound

    def bind(self, **fields: Any) -> StructuredLogger:
        """Return a logger that has these fields as well."""
        return StructuredLogger(self._logger.name, **{**self._bound, **fields})

    def debug(self, message: str, /, *args: Any, **fields: Any) -> None:
        """Log what only helps to find an error."""
        self._log(logging.DEBUG, message, args, fields)

    def info(self, message: str, /, *args: Any, **fields: Any) -> None:
        """Log what happened as it should."""
        self._log(logging.INFO, message, args, fields)

    def warning(self, message: str, /, *args: Any, **fields: Any) -> None:
        """Log what somebody should look at some time."""
        self._log(logging.WARNING, message, args, fields)

    def error(self, message: str, /, *args: Any, **fields: Any) -> None:
        """Log what failed."""
        self._log(logging.ERROR, message, args, fields)

    def exception(self, message: str, /, *args: Any, **fields: Any) -> None:
        """Log what failed, with the exception that is being handled."""
        self._log(logging.ERROR, message, args, {"exc_info": True, **fields})

    def critical(self, message: str, /, *args: Any, **fields: Any) -> None:
        """Log that the process cannot go on."""
        self._log(logging.CRITICAL, message, args, fields)

    def _log(self, level: int, message: str, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        options = {name: fields.pop(name) for name in _OPTIONS if name in fields}
        # The caller is two frames up.
        options["stacklevel"] = fields.pop("stacklevel", 1) + 2
        # In one attribute, since a field may be called like something that each record has.
        extra = {"fields": {**self._bound, **fields}}
        self._logger.log(level, message, *args, extra=extra, **options)


_requests = StructuredLogger("signalbox.requests")
_queries = StructuredLogger("signalbox.database")
_calls = StructuredLogger("signalbox.external")


def log_api_request(
    *,
    method: str,
    path: str,
    status: int | None,
    duration: float,
    user_id: str | None = None,
    **fields: Any,
) -> None:
    """Log one request, after so many seconds, with these further fields.

    Workers write the record where request logs go; without such a place it is a line of
    `signalbox.requests`. Secrets are redacted by the names of the fields.
    """
    context, values = current_context(), Values()
    facts = {
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round(duration * 1000, 1),
        "user_id": user_id,
    }
    own = {name: values.field(name, value) for name, value in fields.items() if name not in facts}
    ids = {"correlation_id": context.correlation_id, "tenant_id": context.tenant_id}
    if not hand_over({**own, **facts, **ids}):
        _requests.info("%s %s: %s", method, path, status, **facts, **own)


def log_database_query(
    *, sql: str, duration: float, database: str = "default", slow: bool = False, **fields: Any
) -> None:
    """Log one statement and its seconds: at WARNING if it was `slow`, else at DEBUG.

    `sql` is the text without parameters, which may be anything.
    """
    write = _queries.warning if slow else _queries.debug
    text = "slow query" if slow else "query"
    facts = {"database": database, "duration_ms": round(duration * 1000, 1), "sql": sql}
    write(text, **{**fields, **facts})


def log_external_service_call(
    *,
    service: str,
    method: str,
    path: str,
    status: int | None,
    duration: float,
    attempts: int,
    outcome: str,
) -> None:
    """Log one call to another service: INFO if it went well, WARNING if not."""
    write = _calls.info if outcome == "ok" else _calls.warning
    write(
        "%s %s at %s: %s",
        *(method, path, service, outcome),
        target=service,
        method=method,
        path=path,
        status=status,
        duration_ms=round(duration * 1000, 1),
        attempts=attempts,
        outcome=outcome,
    )
