"""What this installation can do: asked before an optional part is used.

if is_schemas_available():
    from core.serializer_mixins import TimestampMixin
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

_DRIVERS = {"postgresql": "psycopg", "sqlite3": "sqlite3"}
_SCHEMAS = ("rest_framework", "pydantic")


def is_database_available() -> bool:
    """Tell whether models can be used: Django, a default database in the settings, its driver.

    Nothing is connected to, so this says nothing about whether the server is up.
    """
    return not _missing_for_database()


def is_schemas_available() -> bool:
    """Tell whether REST framework or pydantic is installed, for schemas of what comes in."""
    return any(_is_installed(name) for name in _SCHEMAS)


def require_database() -> None:
    """Do nothing where models can be used; elsewhere raise ImportError, saying what is missing."""
    if not is_database_available():
        raise ImportError(f"This needs a database: {_missing_for_database() or 'there is none.'}")


def require_schemas() -> None:
    """Do nothing where schemas can be used; elsewhere raise ImportError, saying what to install."""
    if not is_schemas_available():
        raise ImportError("This needs schemas: install djangorestframework or pydantic.")


def _missing_for_database() -> str:
    if not _is_installed("django"):
        return "install Django."
    engine = _engine()
    if not engine or engine.endswith(".dummy"):
        return "set DATABASES['default'] in Django's settings, here by DATABASE_URL."
    driver = _DRIVERS.get(engine.rpartition(".")[2])
    if driver and not _is_installed(driver):
        return f"install {driver}, the driver of {engine}."
    return ""


def _engine() -> str:
    # By name: without Django this module must still be there to say so.
    try:
        databases = import_module("django.conf").settings.DATABASES
        return str(databases.get("default", {}).get("ENGINE") or "")
    except Exception:  # whatever is wrong with the settings, there is no database in them
        return ""


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
