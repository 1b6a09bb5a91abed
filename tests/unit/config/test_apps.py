"""What each process says when it starts."""

import logging
from types import SimpleNamespace

import pytest

from config import apps
from core.environment import Environment


@pytest.mark.parametrize(
    ("variables", "host", "message"),
    [
        (
            {"DATABASE_URL": "postgresql://u:secret@db.example/app", "FORCE_IPV4_DB": "on"},
            "203.0.113.7",
            "Database host db.example is used as 203.0.113.7.",
        ),
        (
            {"DATABASE_URL": "postgresql://u:secret@db.example/app", "FORCE_IPV4_DB": "on"},
            "db.example",
            "Database host db.example is used by this name.",
        ),
        ({"DATABASE_URL": "postgresql://u:secret@db.example/app"}, "db.example", None),
        ({"DATABASE_URL": "no URL"}, "", None),
        ({}, "", None),
    ],
)
def test_the_database_host_is_logged(
    variables: dict[str, str],
    host: str,
    message: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The choice made while settings load is said once logging works, without the password."""
    monkeypatch.setattr(apps, "env", Environment(variables))
    settings = SimpleNamespace(DATABASES={"default": {"HOST": host}})
    monkeypatch.setattr(apps, "settings", settings)
    with caplog.at_level(logging.INFO):
        apps.log_database_host()
    assert caplog.messages == ([message] if message else [])
