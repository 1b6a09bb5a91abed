"""The admin of the fee."""

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

site = admin.AdminSite()


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
