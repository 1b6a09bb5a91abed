"""The admin of the fee, and of models that are soft-deleted."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client, override_settings
from django.urls import path

from core.models import PlatformFeeConfig
from core.soft_deletion_admin import SoftDeleteAdmin
from tests.sample.models import Seat, Shelf

site = admin.AdminSite()


@admin.register(Shelf, Seat, site=site)
class SampleAdmin(SoftDeleteAdmin):
    list_display = ("__str__",)


site.register(PlatformFeeConfig, type(admin.site.get_model_admin(PlatformFeeConfig)))
urlpatterns = [path("admin/", site.urls)]

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client: Client) -> Any:
    """A superuser who is logged in."""
    user = get_user_model().objects.create_superuser("boss")
    client.force_login(user)
    cache.clear()
    with override_settings(ROOT_URLCONF=__name__):
        yield user
    cache.clear()


def test_fee_is_changed_with_the_name_of_who_did(client: Client, boss: Any) -> None:
    """The admin stores the user who changed the fee."""
    response = client.post("/admin/core/platformfeeconfig/1/change/", {"fee_percentage": "12.5"})
    assert response.status_code == 302
    config = PlatformFeeConfig.objects.get()
    assert (config.fee_percentage, config.updated_by) == (Decimal("12.50"), boss)


def test_fee_is_validated(client: Client, boss: Any) -> None:
    """A bad percentage comes back as an error of the form."""
    response = client.post("/admin/core/platformfeeconfig/1/change/", {"fee_percentage": "101"})
    assert "less than or equal to 100" in response.content.decode()


def test_fee_is_neither_added_nor_deleted(client: Client, boss: Any) -> None:
    """A second fee cannot be added, the only one not deleted; the list shows it."""
    assert client.get("/admin/core/platformfeeconfig/add/").status_code == 403
    assert client.get("/admin/core/platformfeeconfig/1/delete/").status_code == 403
    assert client.get("/admin/core/platformfeeconfig/").status_code == 200


def test_deleted_rows_are_listed_on_demand(client: Client, boss: Any) -> None:
    """The list shows live rows; the filter shows deleted rows, or all."""
    Shelf.objects.create(label="live-one")
    gone = Shelf.objects.create(label="gone-one")
    gone.delete()

    def listed(query: str) -> tuple[bool, bool]:
        text = client.get(f"/admin/sample/shelf/{query}").content.decode()
        return "live-one" in text, "gone-one" in text

    assert listed("") == (True, False)
    assert listed("?deleted=yes") == (False, True)
    assert listed("?deleted=all") == (True, True)
    assert client.get(f"/admin/sample/shelf/{gone.pk}/change/").status_code == 200


def _act(client: Client, model: str, action: str, *rows: Any) -> str:
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], "post": "yes"}
    response = client.post(f"/admin/sample/{model}/?deleted=all", data, follow=True)
    return response.content.decode()


def test_rows_are_deleted_and_restored(client: Client, boss: Any) -> None:
    """ "Delete selected" marks rows, "Restore selected" brings them back."""
    shelf = Shelf.objects.create(label="A")
    _act(client, "shelf", "delete_selected", shelf)
    assert Shelf.objects.deleted().count() == 1
    assert "1 restored." in _act(client, "shelf", "restore_selected", shelf)
    assert Shelf.objects.count() == 1


def test_a_conflict_is_told(client: Client, boss: Any) -> None:
    """A row whose unique value is taken is not restored, and the page says why."""
    gone = Seat.objects.create(number=1)
    gone.delete()
    Seat.objects.create(number=1)
    assert "unique values" in _act(client, "seat", "restore_selected", gone)
    assert Seat.objects.deleted().count() == 1
