"""Health names what is up and down, and nothing that helps a stranger."""

import pytest
from django.test import Client

from config import health


def test_a_process_that_serves_is_live(client: Client) -> None:
    """The live address needs no other component."""
    response = client.get("/health/live/")
    assert (response.status_code, response.json()) == (200, {"status": "up"})


@pytest.mark.django_db
def test_everything_is_up(client: Client) -> None:
    """With all components there, each is named as up."""
    response = client.get("/health/")
    assert response.status_code == 200
    assert response.json() == {"components": {"database": "up", "cache": "up", "broker": "up"}}


@pytest.mark.django_db
@pytest.mark.parametrize(("down", "status"), [("database", 503), ("cache", 200), ("broker", 200)])
def test_a_component_that_is_down_is_named(
    client: Client, monkeypatch: pytest.MonkeyPatch, down: str, status: int
) -> None:
    """Only the database, which everything needs, makes the service unavailable."""

    def refuse() -> None:
        raise ConnectionError("password=hunter2 at 10.0.0.1")

    monkeypatch.setitem(health.PROBES, down, refuse)
    response = client.get("/health/")
    assert response.status_code == status
    assert response.json()["components"][down] == "down"
    assert b"hunter2" not in response.content


@pytest.mark.django_db
def test_health_is_not_redirected_to_https(client: Client, settings: object) -> None:
    """A probe inside the container speaks plain HTTP."""
    settings.SECURE_SSL_REDIRECT = True  # type: ignore[attr-defined]  # pytest-django's wrapper
    assert client.get("/health/live/").status_code == 200
    assert client.get("/admin/").status_code == 301
