"""Optional parts are asked for, and their absence is named."""

import subprocess
import sys

import pytest
from django.conf import settings

from config.settings.environment import BASE_DIR
from core import guards
from core.guards import (
    is_database_available,
    is_schemas_available,
    require_database,
    require_schemas,
)


def run(script: str) -> str:
    """Run a script in a process of its own, without settings, and return what it printed."""
    return subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(BASE_DIR)},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.strip()


def test_here_everything_is_there() -> None:
    """In this installation both are available, and requiring them is quiet."""
    assert is_database_available() is True
    assert is_schemas_available() is True
    require_database()
    require_schemas()


def test_as_the_handbook_uses_it() -> None:
    """A guarded import gives the names of the guarded part."""
    if is_database_available():
        from core import DBBaseModel
    assert DBBaseModel._meta.abstract


@pytest.mark.parametrize(
    "databases",
    [{}, {"default": {}}, {"default": {"ENGINE": "django.db.backends.dummy"}}, None, "text"],
)
def test_without_a_default_database(databases: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings without a usable default database are no database, whatever is in their place."""
    monkeypatch.setattr(settings, "DATABASES", databases)
    assert is_database_available() is False
    with pytest.raises(ImportError, match="DATABASE_URL"):
        require_database()


def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL without psycopg is named with what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    postgresql = {"default": {"ENGINE": "django.db.backends.postgresql"}}
    monkeypatch.setattr(settings, "DATABASES", postgresql)
    assert is_database_available() is False
    with pytest.raises(ImportError, match="install psycopg"):
        require_database()


def test_without_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two packages is enough; without both the error says what to install."""
    monkeypatch.setitem(sys.modules, "rest_framework", None)
    assert is_schemas_available() is True
    monkeypatch.setitem(sys.modules, "pydantic", None)
    assert is_schemas_available() is False
    with pytest.raises(ImportError, match="djangorestframework or pydantic"):
        require_schemas()


def test_what_is_said_follows_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who replaces the question, in a test of their own, gets the refusal as well."""
    monkeypatch.setattr(guards, "is_database_available", lambda: False)
    monkeypatch.setattr(guards, "is_schemas_available", lambda: False)
    with pytest.raises(ImportError):
        require_database()
    with pytest.raises(ImportError):
        require_schemas()


def test_without_settings() -> None:
    """In a process without settings the answer is no, not an error."""
    assert run("import core; print(core.is_database_available())") == "False"


def test_without_django() -> None:
    """Even without Django the guard is there to say so."""
    script = (
        "import sys; sys.modules['django'] = None\n"
        "from core import is_database_available, require_database\n"
        "print(is_database_available())\n"
        "try:\n    require_database()\nexcept ImportError as error:\n    print(error)"
    )
    assert run(script) == "False\nThis needs a database: install Django."
