"""Filters of messages that say nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping


class Without(logging.Filter):
    """Drops the messages that begin with a text."""

    def __init__(self, *, beginning: str) -> None:
        super().__init__()
        self._beginning = beginning

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is written."""
        return not str(record.msg).startswith(self._beginning)


class WithoutIdleRuns(logging.Filter):
    """Drops Celery's messages that a task has succeeded whose result is an empty dict."""

    def __init__(self, *, task: str) -> None:
        super().__init__()
        self._task = task

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is written."""
        told = record.args
        if not isinstance(told, Mapping) or told.get("name") != self._task:
            return True
        return told.get("return_value") != "{}"
