"""One id leads from the response of a request to everything that came of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from pytest_celery import CeleryTestSetup

from config.demo.fakes import FakeServer, fake_server
from config.settings.environment import BASE_DIR
from core.logs import parse_line
from tests.acceptance.support import EMBEDDED, PATIENCE, USUAL, Site, until

pytestmark = pytest.mark.system

PREPARE = """
from datetime import timedelta
from decimal import Decimal
from django.contrib.auth.models import User
from django.utils import timezone
from examples.tickets.models import Organiser
from examples.tickets.services import publish
user = User.objects.create_superuser(NAME, password="kept for a test")
print(publish(organiser=Organiser.objects.create(name=NAME, owner=user), title="Concert",
    starts_at=timezone.now() + timedelta(days=1), price=Decimal(9), capacity=9).pk)
"""
# What each table has under one correlation id.
ROWS = """
import json
from core.events.models import EventRecord, Settlement
from workers.audit.models import AuditLog
from workers.logs.models import RequestLog
from workers.notifications.models import Notification
def rows(model, *names):
    return list(model.objects.filter(correlation_id=ID).order_by("pk").values(*names))
print(json.dumps({
    "events": rows(EventRecord, "id", "name", "causation_id", "actor_id"),
    "audit": rows(AuditLog, "event_id", "action"),
    "notifications": rows(Notification, "event_id", "channel", "status"),
    "requests": rows(RequestLog, "method", "path", "status", "route", "user_id"),
}, default=str))
"""


@pytest.fixture
def fakes() -> Iterator[FakeServer]:
    """A city guide and a PostHog."""
    with fake_server() as server:
        yield server


@pytest.fixture
def env(env: dict[str, str], fakes: FakeServer, tmp_path: Path) -> dict[str, str]:
    """All lines in one file, and addresses for what leaves the house."""
    return {
        **env,
        "LOG_FILE": str(tmp_path / "log" / "all.log"),
        "TICKETS_CITY_GUIDE_URL": fakes.url,
        "POSTHOG_API_KEY": "phc_test",
        "POSTHOG_HOST": fakes.url,
    }


@pytest.fixture
def base_env(base_env: dict[str, str], migrated: str) -> dict[str, str]:
    """The project's own settings."""
    return {**base_env, "DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": migrated}


@pytest.fixture
def migrated(kind: tuple[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The address of a database with the project's tables."""
    if kind[0] == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    else:
        url = f"sqlite:///{tmp_path / 'project.sqlite3'}"
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0"]
    own = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    own |= {"VAR_DIR": str(tmp_path), "ENV_FILE": os.devnull}
    subprocess.run(command, env={**os.environ, **own}, cwd=BASE_DIR, check=True)
    return url


@pytest.fixture
def site(web: str, celery_setup: CeleryTestSetup, env: dict[str, str]) -> Site:
    """The project, its web process and its worker ready."""
    site = Site(web, celery_setup, env)
    until(celery_setup.worker.container.is_ready)

    def answers() -> bool:
        try:
            return requests.get(f"{web}/health/live/", timeout=PATIENCE).ok
        except requests.ConnectionError:
            return False

    until(answers)
    return site


class Buyer:
    """Somebody who is signed in at the example."""

    def __init__(self, site: Site, name: str) -> None:
        self._site = site.web
        self._api = f"{site.web}/api"
        self._session = requests.Session()
        self._sign_in(name)

    def buy(self, happening: str) -> requests.Response:
        """Buy a ticket and return the response."""
        item = {"happening": happening, "quantity": 1}
        wanted = {"token": uuid4().hex, "items": [item], "phone": "+49301234567"}
        return self._post("orders", wanted)

    def finds(self, table: str, term: str) -> bool:
        """Tell whether the search of a list in the admin finds something."""
        url = f"{self._site}/admin/signalbox_{table}/"
        page = self._session.get(url, params={"q": term}, timeout=PATIENCE)
        return bool(re.search(r"\b[1-9]\d* results?\b", page.text))

    def _sign_in(self, name: str) -> None:
        # Django changes the token on signing in.
        self._take_token(self._session.get(f"{self._api}/session", timeout=PATIENCE))
        given = {"username": name, "password": "kept for a test"}
        self._take_token(self._post("session", given))

    def _take_token(self, response: requests.Response) -> None:
        self._session.headers["X-CSRFToken"] = response.json()["csrf_token"]

    def _post(self, path: str, body: Any) -> requests.Response:
        response = self._session.post(f"{self._api}/{path}", json=body, timeout=PATIENCE)
        assert response.ok, response.text
        return response


def shell(site: Site, code: str, **names: str) -> str:
    """Run a script in the project and return the last line that it prints."""
    given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    output = site.manage("shell", "--verbosity=0", "--command", given + code)
    return output.strip().splitlines()[-1]


@pytest.mark.parametrize("kind", [EMBEDDED, USUAL], indirect=True, ids="+".join)
def test_what_came_of_a_purchase(site: Site, fakes: FakeServer, tmp_path: Path) -> None:
    """The id in a response's header is in the lines of web and worker, and in every row."""
    name = f"ada-{uuid4().hex[:8]}"
    happening = shell(site, PREPARE, NAME=name)
    buyer = Buyer(site, name)
    response = buyer.buy(happening)
    followed = response.headers["X-Correlation-ID"]

    def lines(**wanted: Any) -> list[dict[str, Any]]:
        wanted = {"correlation_id": followed, **wanted}
        written = (tmp_path / "log" / "all.log").read_text().splitlines(keepends=True)
        found = [parse_line(line) for line in written if line.endswith("\n")]
        return [line for line in found if line.items() >= wanted.items()]

    def rows() -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = json.loads(shell(site, ROWS, ID=followed))
        return found

    # The web process tells that it took the order.
    (placed,) = lines(message="order placed")
    assert (placed["service"], placed["order_id"]) == ("web", response.json()["id"])

    # The events: the purchase, and what its handlers fired, which names it as the cause.
    sent = until(lambda: lines(service="worker", logger="workers.notifications.channels.sms"))
    found = until(lambda: complete(rows()))
    (purchase,) = [event for event in found["events"] if event["name"] == "ticket.purchased"]
    (asked,) = [event for event in found["events"] if event["name"] == "notification.requested"]
    assert purchase["actor_id"] == asked["actor_id"] is not None
    assert asked["causation_id"] == purchase["id"]

    # The worker's lines say which delivery of which event they are about.
    (told,) = until(lambda: lines(route="tickets.city-guide", logger="signalbox.external"))
    assert (told["event_id"], told["attempt"]) == (purchase["id"], 1)
    assert told["delivery_id"].startswith(purchase["id"])
    assert {"route", "event_id", "delivery_id", "attempt", "task", "task_id"} <= sent[0].keys()
    assert sent[0]["event_id"] in [event["id"] for event in found["events"]]

    # The rows that the effects left.
    assert purchase["id"] in [row["event_id"] for row in found["audit"]]
    told_by = {row["channel"]: row["event_id"] for row in found["notifications"]}
    assert told_by == {"in_app": purchase["id"], "sms": asked["id"]}
    assert found["requests"] == [
        {
            "method": "POST",
            "path": "/api/orders",
            "status": 201,
            "route": "api/orders",
            "user_id": purchase["actor_id"],
        }
    ]
    # A person finds them by the id, too.
    lists = (
        "events/eventrecord",
        "audit/auditlog",
        "notifications/notification",
        "logs/requestlog",
    )
    assert [each for each in lists if not buyer.finds(each, followed)] == []
    # Analytics has the request as well, without anything that leads back.
    arrived = until(lambda: [item for item in fakes.received("posthog") if is_order(item.data)])
    assert followed not in repr(arrived)


def complete(found: dict[str, list[dict[str, Any]]]) -> Any:
    """Return what was found once all that a purchase leaves is there."""
    channels = {row["channel"] for row in found["notifications"]}
    return found if found["audit"] and found["requests"] and channels == {"in_app", "sms"} else None


def is_order(data: dict[str, Any]) -> bool:
    """Tell whether PostHog was told of the purchase's request."""
    return bool(data["event"] == "request" and data["properties"]["route"] == "api/orders")
