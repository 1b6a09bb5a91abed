"""The platform fee in the admin: a page to change and plan it, and one to read its history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import path
from django.utils import timezone

from core.events import capture_events
from core.models import PlatformFeeChange, PlatformFeeConfig

site = admin.AdminSite()
for model in (PlatformFeeConfig, PlatformFeeChange):
    site.register(model, type(admin.site.get_model_admin(model)))
urlpatterns = [path("admin/", site.urls)]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

PAGE = "/admin/core/platformfeeconfig/1/change/"


@pytest.fixture(autouse=True)
def boss(client: Client) -> Iterator[Any]:
    """A superuser who is logged in."""
    user = get_user_model().objects.create_superuser("boss")
    client.force_login(user)
    cache.clear()
    yield user
    cache.clear()


def post(client: Client, fee: str = "10.00", plan: str = "", start: datetime | None = None) -> str:
    """Send the form; return the page that follows."""
    data = {"fee_percentage": fee, "planned_percentage": plan}
    if start:
        data |= {"planned_from_0": start.date().isoformat()}
        data |= {"planned_from_1": start.time().isoformat("seconds")}
    return client.post(PAGE, data, follow=True).content.decode()


def tomorrow() -> datetime:
    return (timezone.now() + timedelta(days=1)).replace(microsecond=0)


def test_a_change_names_who_made_it(client: Client, boss: Any) -> None:
    """The row and the history tell the user who changed the fee."""
    post(client, "12.5")
    config = PlatformFeeConfig.objects.get()
    assert (config.fee_percentage, config.updated_by) == (Decimal("12.50"), boss)
    assert PlatformFeeChange.objects.get().changed_by == str(boss.pk)


@pytest.mark.parametrize("fee", ["100.01", "-0.01", "10.005", "much", ""])
def test_bad_percentages_come_back(client: Client, fee: str) -> None:
    """A percentage that is none is an error of the form, and nothing is stored."""
    assert "errorlist" in post(client, fee)
    assert PlatformFeeConfig.objects.get().fee_percentage == Decimal(10)


def test_a_change_is_planned_and_cancelled(client: Client, boss: Any) -> None:
    """Both fields plan a change; emptying them cancels it; the fee itself is untouched."""
    start = tomorrow()
    with capture_events() as events:
        post(client, plan="12", start=start)
        config = PlatformFeeConfig.objects.get()
        assert (config.planned_percentage, config.planned_from) == (Decimal(12), start)
        assert (config.planned_by, config.updated_by) == (boss, None)
        post(client, plan="12.00", start=start)
        post(client)
    assert PlatformFeeConfig.objects.get().planned_from is None
    assert [event.name for event in events] == ["platform_fee.planned"] * 2


def test_both_at_once(client: Client) -> None:
    """One form may change the fee now and plan the next change."""
    start = tomorrow()
    post(client, "11.00", plan="12", start=start)
    config = PlatformFeeConfig.objects.get()
    assert (config.fee_percentage, config.planned_percentage) == (Decimal(11), Decimal(12))


@pytest.mark.parametrize(
    ("plan", "days", "message"),
    [
        ("12", None, "needs both"),
        ("", 1, "needs both"),
        ("12", -1, "must lie in the future"),
        ("101", 1, "less than or equal to 100"),
    ],
)
def test_bad_plans_come_back(client: Client, plan: str, days: int | None, message: str) -> None:
    """Half a plan, one for the past or for no fee is an error of the form."""
    start = None if days is None else timezone.now() + timedelta(days=days)
    assert message in post(client, plan=plan, start=start)
    assert PlatformFeeConfig.objects.get().planned_from is None


def test_a_form_that_was_open_for_long_changes_only_what_was_changed_in_it(client: Client) -> None:
    """A fee that the person did not touch is not stored, so that nobody's change is undone."""
    start = tomorrow()
    page = PlatformFeeConfig.objects.get()
    page.fee_percentage = Decimal(15)
    page.save()
    post(client, "15.00", plan="12", start=start)
    assert [change.new for change in PlatformFeeChange.objects.all()] == [Decimal(15)]


def test_a_moment_that_passes_meanwhile_is_told(client: Client, monkeypatch: Any) -> None:
    """A plan whose moment passes between form and database is refused on the page."""
    start = timezone.now() - timedelta(hours=1)
    monkeypatch.setattr("core.admin.timezone", type("Early", (), {"now": lambda: start - 2 * HOUR}))
    assert "must be in the future" in post(client, plan="12", start=start)
    assert PlatformFeeConfig.objects.get().planned_from is None


HOUR = timedelta(hours=1)


def test_a_row_that_is_missing_can_be_added(client: Client) -> None:
    """Without a row there is a page to add it; with one there is not, nor one to delete it."""
    add, delete = "/admin/core/platformfeeconfig/add/", PAGE.replace("change", "delete")
    assert (client.get(add).status_code, client.get(delete).status_code) == (403, 403)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM platform_fee_config")
    assert client.get(add).status_code == 200
    client.post(add, {"fee_percentage": "7"})
    assert PlatformFeeConfig.objects.get().fee_percentage == Decimal(7)


def test_the_lists(client: Client, django_assert_max_num_queries: Any) -> None:
    """Both lists show what there is; the users come with the same query."""
    post(client, "12.5")
    with django_assert_max_num_queries(7):
        assert "12.50 %" in client.get("/admin/core/platformfeeconfig/").content.decode()
    assert "12.50" in client.get("/admin/core/platformfeechange/").content.decode()


def test_the_history_is_only_read(client: Client) -> None:
    """Nobody adds, changes or deletes a row of the history."""
    post(client, "12.5")
    row = f"/admin/core/platformfeechange/{PlatformFeeChange.objects.get().pk}"
    assert client.get(f"{row}/change/").status_code == 200
    for refused in (f"{row}/delete/", "/admin/core/platformfeechange/add/"):
        assert client.post(refused, {}).status_code == 403
    assert client.post(f"{row}/change/", {}).status_code == 403
