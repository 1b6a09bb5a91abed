"""Filters of messages that say nothing."""

from __future__ import annotations

import logging


class Without(logging.Filter):
    """Drops the messages that begin with a text."""

    def __init__(self, *, beginning: str) -> None:
        super().__init__()
        self._beginning = beginning

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is written."""
        return not str(record.msg).startswith(self._beginning)
