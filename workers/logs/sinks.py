"""Where request records are written: each sink is a function that gets a batch of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import orjson
from concurrent_log_handler import ConcurrentRotatingFileHandler

from core.request_logs.conf import conf
from workers.bulk_insert import insert_rows

from .models import RequestLog
from .records import Record, row

_lines = logging.getLogger("signalbox.requests")


def write_table(records: Sequence[Record]) -> None:
    """Insert rows in one statement; one that is there already, by its id, stays as it is."""
    insert_rows(RequestLog, [row(record) for record in records], ignore_conflicts=True)


def write_logger(records: Sequence[Record]) -> None:
    """Write the line that the web process would have written, from here."""
    for record in records:
        facts = [record.get(name) for name in ("method", "path", "status")]
        _lines.info("%s %s: %s", *facts, extra={"fields": record})


def write_file(records: Sequence[Record]) -> None:
    """Append a line of JSON for each record; several processes share the file and its rotation.

    After a redelivery a record may stand there twice, under the same id.
    """
    text = "\n".join(orjson.dumps(record).decode() for record in records)
    Path(conf.file).parent.mkdir(parents=True, exist_ok=True)
    with closing(_File(conf.file)) as file:
        file.emit(logging.makeLogRecord({"msg": "%s", "args": (text,)}))


SINKS: dict[str, Callable[[Sequence[Record]], None]] = {
    "table": write_table,
    "file": write_file,
    "logger": write_logger,
}


class _File(ConcurrentRotatingFileHandler):
    """The file, whose failures are those of its sink."""

    def __init__(self, path: str) -> None:
        super().__init__(
            path,
            maxBytes=conf.file_bytes,
            backupCount=conf.file_backups,
            encoding="utf-8",
            # Open for the length of a batch: nothing is left to forks and rotations.
            keep_file_open=False,
        )

    def handleError(self, record: logging.LogRecord) -> None:
        """Raise what happened, where others print it."""
        raise  # called within an except clause
