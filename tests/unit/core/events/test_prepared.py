"""Which statements are prepared on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from core.events import EventSignal, deliver_pending
from tests.sample.models import LoudSpecimen
from tests.unit.core.events.support import record_route

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite prepares by itself"),
]


def prepared() -> list[str]:
    """Return the statements that this session has prepared."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def test_recording_is_prepared_and_nothing_else() -> None:
    """An insert has one plan; a claim's would have been made for empty tables."""
    signal = EventSignal("order.paid")
    record_route(signal, name="receipt")
    for number in range(12):
        signal.send(sender=None, n=number)
    deliver_pending()
    statements = prepared()
    assert statements
    assert all(" INSERT INTO signalbox_events_delivery" in each for each in statements)
    assert connection.connection.prepare_threshold is None


def test_one_statement_for_all_rows_of_a_model() -> None:
    """Which values a new row has, and which it has not, makes no other statement of it."""
    before = len(prepared())
    for values in ({}, {"integer": 1}, {"integer": 2**31 - 1, "flag": True}, {"ratio": 1.5}):
        LoudSpecimen(**values).save()
    assert len(prepared()) == before + 1


def test_a_pooler_that_mixes_sessions_gets_no_prepared_statements(settings: Any) -> None:
    """Where the setting is off, nothing is kept."""
    settings.EVENTS_PREPARED_STATEMENTS = False
    signal = EventSignal("order.paid")
    record_route(signal, name="receipt")
    record_route(signal, name="another")
    before = prepared()
    for number in range(12):
        signal.send(sender=None, n=number)
    assert prepared() == before
