"""After a test that commits, PostgreSQL's tables are empty again."""

from __future__ import annotations

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.utils import timezone

from core.events.models import EventRecord
from tests.flush import sql_flush
from tests.sample.models import Book, Shelf
from workers.audit.models import AuditLog


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_emptied_are_the_given_tables_and_those_that_refer_to_them() -> None:
    """What triggers protect goes too; what has nothing to do with them stays."""
    Book.objects.create(title="On a shelf", shelf=Shelf.objects.create(label="A"))
    AuditLog.objects.create(event_id="0" * 32, occurred_at=timezone.now(), action="x")
    tables = [Shelf._meta.db_table, AuditLog._meta.db_table]
    connection.ops.execute_sql_flush(sql_flush(connection.ops, None, tables))
    assert not [model for model in (Shelf, Book, AuditLog) if model._default_manager.exists()]
    assert EventRecord.objects.exists()
    assert ContentType.objects.exists()
