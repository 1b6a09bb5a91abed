"""The formatter of every process: structlog's, for its own loggers and for those of `logging`."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog
from structlog.stdlib import ProcessorFormatter

from core.logs.fields import line_fields, timestamp
from core.logs.interrupts import is_interruption
from core.logs.lines import json_line, text_line
from core.logs.uncaught import log_uncaught
from core.logs.values import unprintable

Format = Literal["text", "json"]
_RENDERERS = {"text": text_line, "json": json_line}


class LineFormatter(ProcessorFormatter):
    """Makes one line of each record: `format` is "text" or "json". It never raises."""

    def __init__(self, *, service: str, format: Format = "text") -> None:
        self._service = service
        self._render = _RENDERERS[format]
        super().__init__(
            processors=[self._fields, lambda logger, name, fields: self._render(fields)],
            use_get_message=False,
            pass_foreign_args=True,
        )
        _configure_structlog()
        # Else Python prints both to standard error, as several lines.
        logging.captureWarnings(True)
        log_uncaught()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; of one that cannot be looked at, a line that says so."""
        try:
            return super().format(record)
        except Exception as error:
            if is_interruption(error):
                raise
            return self._render(self._rescued(record, error))

    def _fields(self, logger: Any, name: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        record = event.pop("_record")
        if event.pop("_from_structlog"):
            template, args = event.pop("event", ""), event.pop("positional_args", ())
        else:
            # Not the event: structlog has made a text of it, and that may be secret by its fields.
            template, args = record.msg, event.pop("positional_args", ())
            del event["event"]
        return line_fields(record, template, args, event, self._service)

    def _rescued(self, record: logging.LogRecord, error: Exception) -> dict[str, Any]:
        template = record.msg if type(record.msg) is str else unprintable(record.msg, error)
        trouble = f"the record cannot be written: {type(error).__name__}"
        bare = logging.makeLogRecord({"name": "core.logs", "levelname": "ERROR"})
        if type(record.levelname) is str and type(record.name) is str:
            bare = logging.makeLogRecord({"name": record.name, "levelname": record.levelname})
        fields = line_fields(bare, template, (), {}, self._service)
        return {**fields, "time": timestamp(time.time()), "log_error": trouble}


def from_environment(*, service: str) -> LineFormatter:
    """Return the formatter of a process that reads no settings: LOG_FORMAT and LOG_SERVICE hold."""
    format = os.environ.get("LOG_FORMAT", "").strip().lower()
    name = os.environ.get("LOG_SERVICE", "").strip() or service
    return LineFormatter(service=name, format="json" if format == "json" else "text")


def _keep_exception(logger: Any, name: str, event: Any) -> Any:
    """Replace "the exception that is being handled" by that exception."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()
    return event


def _configure_structlog() -> None:
    """Let `structlog.get_logger()` write to the logger of `logging` that has its name."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _keep_exception,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
