"""Events end up in the audit log: each once, and for good."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.events import EventSignal, capture_events, deliver_pending, event_context
from core.events.read_only_admin import BoundedPaginator, RecentValuesFilter
from core.signals.audit_signals import audit_event
from core.signals.notification_events import business_event, notification_requested
from workers.audit.admin import AuditLogAdmin
from workers.audit.errors import AppendOnlyError
from workers.audit.models import AuditLog
from workers.audit.writer import write

invoice_issued = EventSignal("invoice.issued", sensitive={"iban"})

pytestmark = pytest.mark.django_db


def row(**fields: Any) -> AuditLog:
    values = {"event_id": uuid4(), "occurred_at": timezone.now(), "action": "order.paid"}
    return AuditLog.objects.create(**{**values, "object_type": "shop.order", **fields})


def test_an_event_is_recorded_with_its_circumstances() -> None:
    """Who, what, when, for whom and why stand in the row; what is sensitive does not."""
    with event_context(actor="7", tenant="acme", correlation_id="c-1"):
        invoice_issued.send(sender=None, number="R1", iban="DE02", api_key="s3cret")
    assert deliver_pending()["audit.record"] == {"done": 1}
    entry = AuditLog.objects.get()
    assert (entry.actor, entry.action, entry.tenant_id, entry.correlation_id) == (
        "7",
        "invoice.issued",
        "acme",
        "c-1",
    )
    assert entry.data == {"number": "R1", "iban": "***", "api_key": "***"}
    assert (timezone.now() - entry.occurred_at) < timedelta(minutes=1)


def test_a_batch_is_one_statement(django_assert_num_queries: Any) -> None:
    """Many events of a batch are inserted together."""
    with capture_events() as events:
        invoice_issued.send_many(sender=None, payloads=[{"number": n} for n in range(50)])
    with django_assert_num_queries(1):
        write(events)
    assert AuditLog.objects.count() == 50


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_writing_does_not_wait_for_the_disk() -> None:
    """A crash forgets rows and settlement together, so only that transaction is relaxed."""
    with capture_events() as events:
        invoice_issued.send(sender=None, number="R1")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        write(events)
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("off",)


def test_technical_events_are_not_audited() -> None:
    """A notification request makes no audit row, and not even a delivery."""
    notification_requested.send(sender=None, recipient_id="1", body="x")
    business_event.send(sender=None, type="invoice.issued")
    assert deliver_pending()["audit.record"] == {"done": 1}
    assert AuditLog.objects.get().action == "business.event"


def test_an_event_is_not_recorded_twice() -> None:
    """The same event again, as a replay by name would bring it, changes nothing."""
    with capture_events() as events:
        audit_event.send(sender=None, action="report.exported")
    write(events)
    write(events)
    assert AuditLog.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.save(),
        lambda entry: entry.delete(),
        lambda entry: AuditLog.objects.update(actor="x"),
        lambda entry: AuditLog.objects.filter(pk=entry.pk).delete(),
        lambda entry: AuditLog.objects.bulk_update([entry], ["actor"]),
        lambda entry: AuditLog.objects.update_or_create(pk=entry.pk, defaults={"actor": "x"}),
        lambda entry: AuditLog._base_manager.filter(pk=entry.pk).update(actor=F("action")),
        lambda entry: AuditLog.objects.bulk_create(
            [entry], update_conflicts=True, unique_fields=["id"], update_fields=["actor"]
        ),
    ],
)
def test_nothing_in_python_changes_a_row(change: Any) -> None:
    """Every way of Django to change or delete a row raises, and the row stays as it was."""
    entry = row(actor="7")
    with pytest.raises(AppendOnlyError), transaction.atomic():
        change(entry)
    assert AuditLog.objects.get().actor == "7"


def test_a_given_key_cannot_overwrite_a_row() -> None:
    """A new object with the key of an existing row is refused by the database."""
    entry = row(actor="7")
    copy = AuditLog(pk=entry.pk, event_id=uuid4(), occurred_at=timezone.now(), action="x")
    with pytest.raises(DatabaseError), transaction.atomic():
        copy.save()
    assert AuditLog.objects.get().actor == "7"


@pytest.mark.postgres
@pytest.mark.parametrize("verb", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}"])
def test_postgresql_refuses_whoever_asks(verb: str) -> None:
    """Plain SQL cannot change or delete rows either; the error says what may."""
    row(actor="7")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(verb.format(AuditLog._meta.db_table))
    assert AuditLog.objects.get().actor == "7"


def test_the_log_moves_to_another_database(tmp_path: Path) -> None:
    """What `dumpdata` wrote, `loaddata` puts into an empty table."""
    row(actor="7")
    before, dump = AuditLog.objects.values().get(), str(tmp_path / "audit.json")
    call_command("dumpdata", "signalbox_audit.AuditLog", output=dump)
    with connection.cursor() as cursor:
        empty = "TRUNCATE" if connection.vendor == "postgresql" else "DELETE FROM"
        cursor.execute(f"{empty} {AuditLog._meta.db_table}")
    call_command("loaddata", dump, verbosity=0)
    stored = AuditLog.objects.values().get()
    # JSON keeps milliseconds of a time.
    assert stored.pop("occurred_at") - before.pop("occurred_at") < timedelta(milliseconds=1)
    assert stored == before


def test_retention_deletes_what_is_old_and_closes_behind_it() -> None:
    """`prune` deletes rows from before a time, in portions, and afterwards nothing else may."""
    now = timezone.now()
    for age in (400, 399, 10):
        row(occurred_at=now - timedelta(days=age))
    assert AuditLog.objects.prune(before=now - timedelta(days=365)) == 2
    assert AuditLog.objects.count() == 1
    if connection.vendor == "postgresql":
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            connection.cursor().execute(f"DELETE FROM {AuditLog._meta.db_table}")
    assert AuditLog.objects.count() == 1


def test_the_admin_reads_no_more_than_a_page_needs(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has millions of rows: what there is to choose comes from the newest ones."""
    monkeypatch.setattr(AuditLogAdmin, "list_per_page", 2)
    monkeypatch.setattr(BoundedPaginator, "limit", 3)
    monkeypatch.setattr(RecentValuesFilter, "rows", 2)
    for action in ("order.old", "order.paid", "order.sent", "order.paid"):
        row(action=action)
    url = "/admin/signalbox_audit/auditlog/"
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(url).content.decode()
    assert "?action=order.sent" in page
    assert "?action=order.old" not in page
    assert "3 audit log" in page
    found = [each["sql"] for each in queries if AuditLog._meta.db_table in each["sql"]]
    assert found
    assert all("LIMIT" in sql for sql in found)
    chosen = admin_client.get(f"{url}?action=order.old").content.decode()
    assert "1 audit entry" in chosen


def test_the_admin_only_shows(admin_client: Client, admin_user: User) -> None:
    """A superuser can read the log, and neither add nor change nor delete."""
    entry = row(actor=str(admin_user.pk), changes={"total": [1, 2]})
    url = "/admin/signalbox_audit/auditlog/"
    assert admin_client.get(url).status_code == 200
    page = admin_client.get(f"{url}{entry.pk}/change/")
    assert page.status_code == 200
    assert json.dumps({"total": [1, 2]}) in page.content.decode().replace("&quot;", '"')
    assert admin_client.get(f"{url}add/").status_code == 403
    assert admin_client.post(f"{url}{entry.pk}/change/", {"actor": "x"}).status_code == 403
    assert admin_client.post(f"{url}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert AuditLog.objects.get().actor == str(admin_user.pk)
