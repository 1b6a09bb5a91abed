"""`created_by` and `updated_by`: the actor, unless somebody says otherwise."""

from __future__ import annotations

import copy
import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from core.context import event_context
from core.events import capture_events
from core.tenancy import TenantContext, set_current_tenant
from tests.sample.models import Contract, Invoice, Receipt, Step

pytestmark = pytest.mark.django_db


def stored(row: Contract) -> tuple[str | None, str | None]:
    fresh = Contract.objects.get(pk=row.pk)
    return fresh.created_by, fresh.updated_by


def test_the_actor_of_a_new_row_and_of_a_save() -> None:
    """Who makes a row is in both columns; who saves it later only in `updated_by`."""
    with event_context(actor="user-456"):
        contract = Contract.objects.create()
    assert (contract.created_by, contract.updated_by) == ("user-456", "user-456")
    with event_context(actor="user-789"):
        contract.save()
    assert stored(contract) == ("user-456", "user-789")
    with event_context(actor="user-456"):
        Contract.objects.get(pk=contract.pk).save()
    assert stored(contract) == ("user-456", "user-456")


def test_the_user_of_the_tenant_context() -> None:
    """The user of the current tenant context is the actor."""
    with set_current_tenant(TenantContext(tenant_id="tenant-123", user_id="user-456")):
        contract = Contract.objects.create()
    assert stored(contract) == ("user-456", "user-456")


def test_without_an_actor() -> None:
    """Nobody known leaves the columns as they are."""
    contract = Contract.objects.create()
    assert stored(contract) == (None, None)
    with event_context(actor="a"):
        contract.save()
    contract.save()
    assert stored(contract) == (None, "a")


def test_set_by_hand() -> None:
    """What is set by hand stays for that save, and the next save is the actor's again."""
    with event_context(actor="a"):
        contract = Contract.objects.create(created_by="import", updated_by="script")
        assert stored(contract) == ("import", "script")
        contract.updated_by = "robot"
        contract.save(update_fields=["title"])
        assert stored(contract) == ("import", "robot")
        contract.save()
        assert stored(contract) == ("import", "a")


def test_update_fields() -> None:
    """`save(update_fields=...)` stores who saved; `update_fields=[]` stores nothing."""
    contract = Contract.objects.create()
    with event_context(actor="a"):
        contract.title = "new"
        contract.save(update_fields=["title"])
    with event_context(actor="b"):
        contract.save(update_fields=[])
    assert stored(contract) == (None, "a")


def test_saving_from_async_code() -> None:
    """`acreate()` and `asave()` have the actor of the asyncio task that calls them."""

    async def work() -> Contract:
        with event_context(actor="a"):
            contract = await Contract.objects.acreate()
        with event_context(actor="b"):
            await contract.asave(update_fields=["title"])
        return contract

    assert stored(async_to_sync(work)()) == ("a", "b")


def test_deferred_columns() -> None:
    """A row loaded in part is saved with its actor."""
    contract = Contract.objects.create()
    with event_context(actor="a"):
        Contract.objects.only("title").get(pk=contract.pk).save()
    assert stored(contract) == (None, "a")


def test_many_at_once() -> None:
    """bulk_create fills in both columns; bulk_update and update write what they are given."""
    with event_context(actor="a"):
        rows = Contract.objects.bulk_create([Contract(), Contract(created_by="x")])
    assert [stored(row) for row in rows] == [("a", "a"), ("x", "a")]
    with event_context(actor="b"):
        Contract.objects.update(title="t")
        Contract.objects.bulk_update(rows, ["title"])
        assert [stored(row) for row in rows] == [("a", "a"), ("x", "a")]
        Contract.objects.update_or_create(pk=rows[0].pk, defaults={"title": "u"})
    assert stored(rows[0]) == ("a", "b")


@pytest.mark.parametrize("given", [7, uuid.UUID(int=7), SimpleNamespace(pk=7)])
def test_ids_of_every_kind_are_kept_as_text(given: Any) -> None:
    """Numbers, UUIDs and users become text, on the row, in the database and in a filter."""
    text = str(getattr(given, "pk", given))
    contract = Contract.objects.create(created_by=given)
    assert contract.created_by == text
    assert stored(contract)[0] == text
    assert Contract.objects.filter(created_by=given).get() == contract


@pytest.mark.parametrize("bad", ["", "x" * 129, "a\x00b", "\ud800", True, 1.5, ["a"]])
def test_what_is_no_id_is_refused(bad: Any) -> None:
    """A value that cannot be a user's id is a ValidationError that names it; nothing is written."""
    refused = "_by must be a user or an id of 1 to 128 characters without NUL, got "
    with pytest.raises(ValidationError, match=refused), transaction.atomic():
        Contract.objects.create(created_by=bad)
    with pytest.raises(ValidationError, match=refused), transaction.atomic():
        Contract.objects.update(updated_by=bad)
    assert not Contract.objects.exists()


def test_a_save_that_failed_is_not_by_hand() -> None:
    """After a failed save the next one has its own actor."""
    Step.objects.create(slug="taken", tenant_id="t")
    step = Step.objects.create(slug="free", tenant_id="t")
    step.slug = "taken"
    with event_context(actor="a"), pytest.raises(IntegrityError), transaction.atomic():
        step.save()
    step.slug = "fine"
    with event_context(actor="b"):
        step.save()
    assert Step.objects.get(slug="fine").updated_by == "b"


def test_copies() -> None:
    """A copy, also through pickle, is saved under its own actor, and so is a row made from it."""
    with event_context(actor="a"):
        contract = Contract.objects.create()
    for twin in (
        copy.copy(contract),
        copy.deepcopy(contract),
        pickle.loads(pickle.dumps(contract)),
    ):
        with event_context(actor="b"):
            twin.save()
        assert stored(contract) == ("a", "b")
        with event_context(actor="a"):
            contract.save()


def test_refreshed_rows() -> None:
    """What somebody else stored meanwhile is not taken for set by hand."""
    contract = Contract.objects.create()
    with event_context(actor="other"):
        Contract.objects.get().save()
    contract.refresh_from_db()
    with event_context(actor="me"):
        contract.save()
    assert stored(contract) == (None, "me")


def test_soft_deletion_says_who() -> None:
    """Deleting and restoring are saves: they tell who did it, in the row and in the event."""
    with event_context(actor="a"):
        invoice = Invoice.objects.create(slug="i", tenant_id="t")
    with event_context(actor="b"), transaction.atomic(), capture_events() as events:
        invoice.delete()
    assert Invoice.all_objects.get().updated_by == "b"
    assert events[0].data["changes"]["updated_by"] == ["a", "b"]


def test_threads_have_actors_of_their_own() -> None:
    """Two threads that fill in rows at once each see their own actor."""

    def author(number: int) -> str | None:
        with event_context(actor=f"user-{number}"):
            row = Contract()
            for name in ("created_by", "updated_by"):
                Contract._meta.get_field(name).pre_save(row, add=True)
            return row.created_by

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(author, range(200))) == [f"user-{n}" for n in range(200)]


@pytest.mark.parametrize("kind", [Invoice, Receipt])
def test_deletion_and_restoring_in_bulk(kind: type[Invoice] | type[Receipt]) -> None:
    """`delete()` and `restore()` of a queryset say who did it, as those of a row do."""
    with event_context(actor="a", tenant="t"):
        kind.objects.create(slug="s")
    with event_context(actor="b"):
        kind.objects.all().delete()
    row = kind.all_objects.get()
    assert (row.is_deleted, row.created_by, row.updated_by) == (True, "a", "b")
    with event_context(actor="c"):
        kind.objects.deleted().restore()
    assert kind.objects.get().updated_by == "c"
    kind.objects.all().delete()
    assert kind.all_objects.get().updated_by == "c"
