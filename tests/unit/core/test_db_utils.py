"""Which database, by which address: from the environment, and without settings."""

import logging
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from config.settings.environment import BASE_DIR
from core.db_utils import force_ipv4_database_url, get_database_config
from core.environment import Environment
from core.exceptions import ConfigurationError

NAMES = {"db.example.com": "203.0.113.7", "standby.example.com": "203.0.113.8"}


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Answer name lookups from `NAMES` and list them."""
    asked: list[tuple[Any, ...]] = []

    def getaddrinfo(*query: Any) -> list[Any]:
        asked.append(query)
        if query[0] not in NAMES:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (NAMES[query[0]], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_the_host_becomes_an_address(lookups: list[Any]) -> None:
    """Only the host changes: user, password, port, path and query are the same characters."""
    url = "postgresql://u:p%40w@db.example.com:5432/app?sslmode=require"
    assert (
        force_ipv4_database_url(url) == "postgresql://u:p%40w@203.0.113.7:5432/app?sslmode=require"
    )
    assert lookups == [("db.example.com", None, socket.AF_INET, socket.SOCK_STREAM)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("postgres://db.example.com/app", "postgres://203.0.113.7/app"),
        ("postgres://db.example.com", "postgres://203.0.113.7"),
        ("POSTGRES://u@db.example.com:/a?#x", "POSTGRES://u@203.0.113.7:/a?#x"),
        ("postgres://u:a@b@db.example.com:1/x", "postgres://u:a@b@203.0.113.7:1/x"),
        ("postgres://u:%2F%3F%23@db.example.com/x", "postgres://u:%2F%3F%23@203.0.113.7/x"),
        (
            "postgres://u@db.example.com:1,standby.example.com:2,10.0.0.1,[::1]:3/x?a=b&a=c",
            "postgres://u@203.0.113.7:1,203.0.113.8:2,10.0.0.1,[::1]:3/x?a=b&a=c",
        ),
        ("mysql://u:p@db.example.com/a", "mysql://u:p@203.0.113.7/a"),
    ],
)
def test_all_else_stays(before: str, after: str, lookups: list[Any]) -> None:
    """URLs of every shape keep what is not a host name."""
    assert force_ipv4_database_url(before) == after


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@x.pooler.supabase.com:6543/db",
        "postgresql://u:p@X.Pooler.Supabase.COM:6543/db",
        "postgres://u:p@db.example.com/a?connect_timeout=3&sslmode=verify-full",
        "postgres://u:p@127.0.0.1:5432/a",
        "postgres://u:p@[2001:db8::1]:5432/a",
        "postgres:///a",
        "postgres:///a?host=/var/run/postgresql",
        "postgres:////var/run/postgresql/a",
        "postgres://%2Fvar%2Frun%2Fpostgresql/a",
        "sqlite:////var/db.sqlite3",
        "sqlite://:memory:",
        "db.example.com",
        "",
        "://",
    ],
)
def test_what_is_never_looked_up(url: str, lookups: list[Any]) -> None:
    """Poolers and verified certificates need the name; the rest has none to look up."""
    assert force_ipv4_database_url(url) == url
    assert lookups == []


@pytest.mark.parametrize("host", ["gone.example.com", "db.example.com,gone.example.com"])
def test_a_lookup_that_fails(
    host: str, lookups: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Without an address for each host the URL is as it was, and the log says so."""
    url = f"postgres://u:hunter2@{host}:5432/a"
    assert force_ipv4_database_url(url) == url
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "gone.example.com" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("error", [UnicodeError("label too long"), OSError("no network")])
def test_any_failure_of_the_lookup(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the lookup fails, starting goes on."""

    def fail(*query: Any) -> Any:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert force_ipv4_database_url("postgres://db/a") == "postgres://db/a"
    monkeypatch.setattr(socket, "getaddrinfo", lambda *query: [])
    assert force_ipv4_database_url("postgres://db/a") == "postgres://db/a"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://u:hunter2@db.example.com/a", "is used as 203.0.113.7"),
        ("postgres://u:hunter2@x.pooler.supabase.com/a", "pooler"),
        ("postgres://u:hunter2@db.example.com/a?sslmode=verify-full", "verify-full"),
        ("postgres://u:hunter2@gone.example.com/a", "no IPv4 address"),
        ("postgres://u:hunter2@10.0.0.1/a", "no host name"),
    ],
)
def test_every_decision_is_logged(
    url: str, said: str, lookups: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """One record tells what was done and why, without the password."""
    with caplog.at_level(logging.INFO, "core.ipv4"):
        force_ipv4_database_url(url)
    (record,) = caplog.records
    assert said in record.getMessage()
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("url", [None, b"postgres://u:hunter2@h/a", 7])
def test_a_url_is_a_text(url: Any) -> None:
    """Anything else is refused without being repeated."""
    with pytest.raises(TypeError, match="url must be a text") as caught:
        force_ipv4_database_url(url)
    assert "hunter2" not in str(caught.value)


URL = "postgresql://u:p%40w@db.example.com:5432/app"


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({}, "db.example.com"),
        ({"RENDER": "true"}, "203.0.113.7"),
        ({"RENDER": "true", "FORCE_IPV4_DB": "off"}, "db.example.com"),
        ({"RENDER": "true", "FORCE_IPV4_DB": "0"}, "db.example.com"),
        ({"FORCE_IPV4_DB": "1"}, "203.0.113.7"),
        ({"FORCE_IPV4_DB": "Yes"}, "203.0.113.7"),
        ({"FORCE_IPV4_DB": "false"}, "db.example.com"),
        ({"FORCE_IPV4_DB": ""}, "db.example.com"),
    ],
)
def test_when_ipv4_is_forced(variables: dict[str, str], host: str, lookups: list[Any]) -> None:
    """Automatic on Render; FORCE_IPV4_DB says otherwise both ways."""
    config = get_database_config(Environment({"DATABASE_URL": URL, **variables}))
    assert config["HOST"] == host
    assert (config["PASSWORD"], config["NAME"], config["PORT"]) == ("p@w", "app", 5432)


def test_from_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the variables of the process count, and bad ones are all named."""
    for name in list(os.environ):
        if name.startswith("DATABASE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("FORCE_IPV4_DB", "off")
    assert get_database_config()["NAME"] == "app"
    monkeypatch.setenv("DATABASE_URL", "nonsense://u:hunter2@h")
    monkeypatch.setenv("DATABASE_POOL_SIZE", "many")
    with pytest.raises(ConfigurationError) as caught:
        get_database_config()
    assert sorted(caught.value.details) == ["DATABASE_POOL_SIZE", "DATABASE_URL"]
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("given", [URL, 5, {}])
def test_other_arguments(given: Any) -> None:
    """What is no reader, or no default, is refused without being repeated, by what to use."""
    for call in (lambda: get_database_config(given), lambda: get_database_config(default=given)):
        with pytest.raises(TypeError, match=r"must be of type .*from_url") as refused:
            call()
        assert "@" not in str(refused.value)


def test_without_settings() -> None:
    """The functions run inside settings: they import and work where there are none."""
    script = (
        "from core.db_utils import force_ipv4_database_url, get_database_config\n"
        "print(force_ipv4_database_url('postgres:///a'), get_database_config()['NAME'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(BASE_DIR), "VAR_DIR": "/srv"},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.strip() == "postgres:///a /srv/db.sqlite3", done.stderr


def test_a_password_with_a_slash(lookups: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What stands where the host should be may be part of a password: no lookup, no log of it."""
    url = "postgresql://user:123/hunter2@db.example.com:5432/app"
    with caplog.at_level("INFO"):
        assert force_ipv4_database_url(url) == url
    assert lookups == []
    assert "hunter2" not in caplog.text
    assert "123" not in caplog.text
