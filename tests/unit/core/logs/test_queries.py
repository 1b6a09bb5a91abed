"""Slow statements are logged with their text, and never with what was asked for."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.backends.signals import connection_created

from core.logs.queries import SlowQueries, statement

SECRET = "hunter2"


@pytest.fixture
def slow(
    db: None, settings: Any, caplog: pytest.LogCaptureFixture
) -> Iterator[pytest.LogCaptureFixture]:
    """A connection that takes every statement for a slow one."""
    settings.LOG_SLOW_QUERIES_MS = 10
    caplog.set_level(logging.DEBUG, "signalbox.database")
    before = list(connection.execute_wrappers)
    connection_created.send(sender=type(connection), connection=connection)
    (watch,) = [each for each in connection.execute_wrappers if isinstance(each, SlowQueries)]
    watch._seconds = 0
    yield caplog
    connection.execute_wrappers[:] = before


def records(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if record.name == "signalbox.database"]


def test_a_slow_statement(slow: pytest.LogCaptureFixture) -> None:
    """Its text without parameters, its time, its database."""
    assert not get_user_model().objects.filter(username=SECRET).exists()
    (record,) = records(slow)
    assert (record.levelname, record.getMessage()) == ("WARNING", "slow query")
    assert record.fields["sql"].startswith("SELECT")
    assert record.fields["database"] == "default"
    assert record.fields["duration_ms"] >= 0
    assert SECRET not in str(vars(record))


def test_a_connection_is_watched_once(slow: pytest.LogCaptureFixture) -> None:
    """Connecting again adds nothing."""
    connection_created.send(sender=type(connection), connection=connection)
    found = [each for each in connection.execute_wrappers if isinstance(each, SlowQueries)]
    assert len(found) == 1


def test_off_by_default(db: None, settings: Any) -> None:
    """Without a threshold nothing is measured."""
    settings.LOG_SLOW_QUERIES_MS = 0
    before = list(connection.execute_wrappers)
    connection_created.send(sender=type(connection), connection=connection)
    assert connection.execute_wrappers == before


def test_a_destination_that_queries(slow: pytest.LogCaptureFixture) -> None:
    """What a handler of logs asks the database is not logged in turn."""

    class Asking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            get_user_model().objects.count()

    handler = Asking()
    logging.getLogger("signalbox.database").addHandler(handler)
    try:
        get_user_model().objects.exists()
    finally:
        logging.getLogger("signalbox.database").removeHandler(handler)
    assert len(records(slow)) == 1


def test_a_quick_statement(slow: pytest.LogCaptureFixture) -> None:
    """It is not worth a line."""
    connection.execute_wrappers[-1]._seconds = 60  # type: ignore[attr-defined]  # ours
    get_user_model().objects.exists()
    assert not records(slow)


def test_a_slow_statement_that_fails(slow: pytest.LogCaptureFixture) -> None:
    """It is logged too, and its error goes on."""

    def fail(*_: Any) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        SlowQueries(0)(fail, "SELECT 1", None, False, {"connection": connection})
    assert len(records(slow)) == 1


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT 1\n  FROM t", "SELECT 1 FROM t"),
        (f"SELECT '{SECRET}', 'it''s' FROM t", "SELECT '?', '?' FROM t"),
        (f"SELECT 1 WHERE name = '{SECRET * 1000}", "SELECT 1 WHERE name = '?'"),
    ],
)
def test_the_text_of_a_statement(sql: str, shown: str) -> None:
    """On one line, bounded, and without the texts that somebody wrote into it."""
    assert statement(sql) == shown
    assert len(statement("SELECT " + "a, " * 10_000)) <= 2000


def test_what_watching_costs() -> None:
    """Far less than any statement."""
    watch = SlowQueries(60)
    began = time.perf_counter()
    for _ in range(10_000):
        watch(lambda *_: None, "SELECT 1", None, False, {})
    assert (time.perf_counter() - began) / 10_000 < 50e-6
