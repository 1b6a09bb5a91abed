"""The fields of a line: the same ones, in the same order, in every process."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.context import current_context, current_fields
from core.logs.arguments import redacted_arguments
from core.logs.interrupts import is_interruption
from core.logs.texts import shown
from core.logs.values import Values, encodable, unprintable

# Every line begins with these; after the fields of its own, `exception` and `stack` come last.
FIXED = ("time", "level", "service", "logger", "correlation_id", "message")
_RESERVED = {*FIXED, "exception", "stack", "log_error"}
# Characters of the message, of a traceback, of a name.
MAX_LONG_TEXT = 16_384
MAX_NAME = 64

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\-]")
_NOT_IN_LEVELS = re.compile(r"[^A-Za-z0-9_]")
# What a record has by itself, and what Django and Celery add that is no field or is said elsewhere.
_OWN = {
    *vars(logging.makeLogRecord({})),
    *("message", "asctime", "taskName", "_logger", "_name", "_from_structlog", "fields"),
    *("server_time", "color_message"),
}


def line_fields(
    record: logging.LogRecord, template: Any, args: Any, own: Mapping[str, Any], service: str
) -> dict[str, Any]:
    """Return the fields of a record with this message and these fields of its own.

    Whatever the message, its arguments or the fields do when they are looked at, there is a line.
    """
    message, trouble = _message(template, args)
    found = {**current_fields(), **_extra(record), **own}
    if trouble:
        found.setdefault("arguments", args)
    exception = _exception(found.pop("exc_info", None))
    stack = found.pop("stack_info", None)
    correlation_id = found.pop("correlation_id", None) or current_context().correlation_id
    values = Values()
    line = {
        "time": timestamp(record.created),
        "level": _NOT_IN_LEVELS.sub("_", str(record.levelname))[:MAX_NAME] or "_",
        "service": service,
        "logger": values.plain(record.name),
        "correlation_id": values.plain(correlation_id),
        "message": message,
    }
    for key, value in found.items():
        line[_name(str(key), line)] = values.field(str(key), value)
    ends = {"log_error": trouble, "exception": exception, "stack": stack}
    for name, text in ends.items():
        if text:
            line[name] = encodable(shown(str(text), MAX_LONG_TEXT))
    return line


def timestamp(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC, with six decimals."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _message(template: Any, args: Any) -> tuple[str, str | None]:
    """Return the message with its arguments, and what is wrong with them."""
    trouble = None
    try:
        text = str(template)
    except Exception as error:
        text = unprintable(template, error)
    if args:
        try:
            text = text % redacted_arguments(args)
        except Exception as error:
            if is_interruption(error):
                raise
            trouble = f"the arguments do not fit the message: {type(error).__name__}"
    return encodable(shown(text, MAX_LONG_TEXT)), trouble


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the caller gave as fields: `extra=`, or the fields of a StructuredLogger."""
    found = {key: value for key, value in vars(record).items() if key not in _OWN}
    given = getattr(record, "fields", {})
    found.update(given if isinstance(given, Mapping) else {"fields": given})
    # Celery's message says what its data says, and the data has the arguments of the task.
    if record.name.startswith("celery."):
        found.pop("data", None)
    request: Any = found.get("request")
    if hasattr(request, "correlation_id"):
        found.setdefault("correlation_id", request.correlation_id)
    # A socket, under runserver.
    if hasattr(request, "fileno"):
        del found["request"]
    return found


def _exception(info: Any) -> str | None:
    if not info:
        return None
    try:
        if isinstance(info, BaseException):
            info = (type(info), info, info.__traceback__)
        info = info if isinstance(info, tuple) else sys.exc_info()
        return "".join(traceback.format_exception(*info)).rstrip("\n") if info[1] else None
    except Exception as error:
        return unprintable(info, error)


def _name(key: str, taken: Mapping[str, Any]) -> str:
    """Return a name that a line can carry and that it has not yet."""
    name = _NOT_IN_NAMES.sub("_", key[:MAX_NAME]) or "_"
    while name in taken or name in _RESERVED:
        name += "_"
    return name
