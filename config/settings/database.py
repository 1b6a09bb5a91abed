"""The database: PostgreSQL by `DATABASE_URL`, otherwise SQLite in `VAR_DIR`."""

__all__ = ["DATABASES"]

import warnings
from typing import Any

import environ

from .environment import VAR_DIR, env

# FULL, not NORMAL: with NORMAL a power cut can take back the last commits, and a committed event
# must not be lost. It costs about a tenth of the write throughput.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
}
# Only what asks to be prepared is: events, which are recorded in half the time.
PREPARE_WHEN_ASKED = 2**31 - 1
HINT = "Use postgresql://user:password@host:5432/name or sqlite:////absolute/path.sqlite3."


def _parse(url: str) -> dict[str, Any] | None:
    try:
        with warnings.catch_warnings(action="ignore"):
            database: dict[str, Any] = environ.Env.db_url_config(url)
    except ValueError:
        return None
    if database.get("ENGINE", "").rpartition(".")[2] not in {"postgresql", "sqlite3"}:
        return None
    return database if database["NAME"] else None


def _from_environment() -> dict[str, Any]:
    default = f"sqlite:///{VAR_DIR / 'db.sqlite3'}"
    database = _parse(env.text("DATABASE_URL", default))
    if database is None:
        env.report("DATABASE_URL", "is not a database URL that can be used.", HINT)
        database = _parse(default)
    assert database is not None  # the default parses
    return _tuned(database)


def _tuned(database: dict[str, Any]) -> dict[str, Any]:
    max_age = env.integer("DATABASE_CONN_MAX_AGE", 60)
    connect_timeout = env.integer("DATABASE_CONNECT_TIMEOUT", 5, minimum=1)
    mixed = env.flag("DATABASE_TRANSACTION_POOLER", default=False)
    if database["ENGINE"].endswith("sqlite3"):
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        return database | {"OPTIONS": SQLITE_OPTIONS}
    options = {
        "connect_timeout": connect_timeout,
        "prepare_threshold": None if mixed else PREPARE_WHEN_ASKED,
        **database.get("OPTIONS", {}),
    }
    return database | {
        "DISABLE_SERVER_SIDE_CURSORS": mixed,
        "CONN_MAX_AGE": max_age,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


DATABASES = {"default": _from_environment()}
