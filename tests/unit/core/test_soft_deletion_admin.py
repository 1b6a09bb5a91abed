"""The admin of models that are soft-deleted."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.http import HttpRequest
from django.test import Client, override_settings
from django.urls import path

from core.soft_delete.admin import SoftDeleteAdmin, SoftDeleteAdminMixin
from tests.sample.models import Book, Document, Folder, Reading, Seat, Shelf

site = admin.AdminSite()
site.register([Seat, Folder, Book], SoftDeleteAdmin)


@admin.register(Shelf, site=site)
class ShelfAdmin(SoftDeleteAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    actions = ("paint",)
    list_filter = ("created_at",)
    readonly_fields = ("created_at",)

    @admin.action(description="Paint selected shelves")
    def paint(self, request: HttpRequest, queryset: Any) -> None:
        """Do nothing."""


urlpatterns = [path("admin/", site.urls)]

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client: Client) -> Any:
    """A superuser who is logged in."""
    user = get_user_model().objects.create_superuser("boss")
    client.force_login(user)
    with override_settings(ROOT_URLCONF=__name__):
        yield user


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


def test_what_a_child_says_is_kept(client: Client, boss: Any) -> None:
    """Actions, filters and read-only fields of a child stand beside those of the mixin."""
    shelf = Shelf.objects.create(label="A")
    page = client.get("/admin/sample/shelf/").content.decode()
    for text in ('value="paint"', 'value="restore_selected"', "deleted=yes", "created_at__gte"):
        assert text in page
    page = client.get(f"/admin/sample/shelf/{shelf.pk}/change/").content.decode()
    for field in ("created_at", "is_deleted", "deleted_at"):
        assert f"field-{field}" in page


def test_restoring_needs_the_permission_to_change(client: Client, boss: Any) -> None:
    """Who may only look is not offered to restore rows, and cannot do so."""
    user = get_user_model().objects.create_user("guest", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_shelf"))
    client.force_login(user)
    shelf = Shelf.objects.create(label="A")
    shelf.delete()
    assert "restore_selected" not in client.get("/admin/sample/shelf/").content.decode()
    _act(client, "shelf", "restore_selected", shelf)
    assert Shelf.objects.count() == 0
    assert client.get(f"/admin/sample/shelf/{shelf.pk}/delete/").status_code == 403


def test_what_stays_is_not_listed_for_deletion(client: Client, boss: Any) -> None:
    """The confirmation names what will be marked: without a cascade the rows alone."""
    shelf = Shelf.objects.create(label="A")
    Book.objects.create(title="Moby Dick", shelf=shelf)
    url = f"/admin/sample/shelf/{shelf.pk}/delete/"
    assert "Moby Dick" not in client.get(url).content.decode()
    assert client.post(url, {"post": "yes"}).status_code == 302
    assert (Shelf.objects.count(), Book.objects.count()) == (0, 1)


def test_a_cascade_is_shown_and_done(client: Client, boss: Any) -> None:
    """The confirmation of a cascade names what goes along; what protects keeps it from going."""
    folder = Folder.objects.create(name="f")
    Document.objects.create(folder=folder, title="Treaty")
    url = f"/admin/sample/folder/{folder.pk}/delete/"
    assert "Treaty" in client.get(url).content.decode()
    reading = Reading.objects.create(protects=folder)
    client.post(url, {"post": "yes"})
    assert Folder.objects.count() == 1
    reading.delete(soft=False)
    _act(client, "folder", "delete_selected", folder)
    assert (Folder.objects.count(), Document.objects.count()) == (0, 0)
