"""The admin's pages, under the policy that browsers are told."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from core.events.models import EventRecord
from core.signals import user_registered


class Inline(HTMLParser):
    """Gathers what a policy without 'unsafe-inline' stops."""

    def __init__(self, nonce: str | None) -> None:
        super().__init__()
        self.nonce = nonce
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if any(name == "style" or name.startswith("on") for name in given):
            self.found.append(f"{tag} {given}")
        is_code = tag == "style" or (tag == "script" and given.get("type") != "application/json")
        if is_code and not given.get("src") and given.get("nonce", "-") != self.nonce:
            self.found.append(f"inline {tag} {given}")


def stopped(client: Client, address: str) -> list[str]:
    """Return what a browser would not do of a page."""
    response = client.get(address)
    assert response.status_code in (200, 403), address
    nonce = re.search("'nonce-([^']+)'", response["Content-Security-Policy"])
    parser = Inline(nonce[1] if nonce else None)
    parser.feed(response.content.decode())
    return parser.found


@pytest.mark.django_db
def test_nothing_in_the_admin_is_stopped(client: Client, settings: Any) -> None:
    """Lists, forms to add and to change: scripts and styles are files, or have the nonce."""
    settings.SECURE_SSL_REDIRECT = False
    settings.DEBUG = False
    user = User.objects.create_superuser("ada")
    user_registered.send(sender=User, user_id="7")
    task = PeriodicTask.objects.create(
        name="t", task="t", crontab=CrontabSchedule.objects.create(hour="3")
    )
    assert stopped(client, reverse("admin:login")) == []
    client.force_login(user)
    pages = [reverse("admin:index"), reverse("admin:password_change")]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages += [reverse(f"{name}_changelist"), reverse(f"{name}_add")]
    for row in (user, task, EventRecord.objects.get()):
        name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
        pages.append(reverse(name, args=[row.pk]))
    assert {page: found for page in pages if (found := stopped(client, page))} == {}


def test_the_site_that_the_admin_links_is_there(admin_client: Client) -> None:
    """The admin's "View site" leads to the API of the example."""
    assert '<a href="/">View site</a>' in admin_client.get(reverse("admin:index")).text
    assert admin_client.get("/", follow=True).json() == {"happenings": []}
