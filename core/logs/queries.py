"""Slow queries: each statement that takes too long is logged, without its parameters."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from core.utils.logger import log_database_query

# A destination may itself write to a database.
_logging: ContextVar[bool] = ContextVar("signalbox_logging_a_query", default=False)
# One that is cut off has no end.
_LITERAL = re.compile(r"'(?:[^']|'')*(?:'|$)")
_MAX_STATEMENT = 2_000


def watch_queries() -> None:
    """Watch the connections that open from now on, if LOG_SLOW_QUERIES_MS says so."""
    connection_created.connect(_watch, dispatch_uid="core.logs.queries")


def _watch(connection: BaseDatabaseWrapper, **_: Any) -> None:
    threshold = getattr(settings, "LOG_SLOW_QUERIES_MS", 0)
    known = any(isinstance(each, SlowQueries) for each in connection.execute_wrappers)
    if threshold > 0 and not known:
        connection.execute_wrappers.append(SlowQueries(threshold / 1000))


class SlowQueries:
    """Runs statements and logs those that take longer than `seconds`, and those that fail then."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(
        self,
        execute: Callable[..., Any],
        sql: Any,
        params: Any,
        many: bool,
        context: dict[str, Any],
    ) -> Any:
        """Run the statement."""
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            taken = time.perf_counter() - started
            if taken >= self._seconds and not _logging.get():
                self._log(sql, taken, context["connection"].alias, many)

    def _log(self, sql: Any, taken: float, alias: str, many: bool) -> None:
        token = _logging.set(True)
        try:
            log_database_query(
                sql=statement(sql), duration=taken, database=alias, slow=True, many=many
            )
        finally:
            _logging.reset(token)


def statement(sql: Any) -> str:
    """Return the text of a statement without the texts that are written into it."""
    return " ".join(_LITERAL.sub("'?'", str(sql)[:_MAX_STATEMENT]).split())
