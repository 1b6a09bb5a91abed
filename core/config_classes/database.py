"""DatabaseConfig: PostgreSQL or SQLite, as `DATABASES` takes it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import environ

from core.config_classes.checking import is_flag, is_name, is_text, is_whole, require
from core.environment import Environment
from core.exceptions import ConfigurationError
from core.ipv4 import force_ipv4_database_url

ENGINES = {
    "postgresql": "django.db.backends.postgresql",
    "sqlite": "django.db.backends.sqlite3",
}
# FULL, not NORMAL: with NORMAL a power cut can take back the last commits, and a committed event
# must not be lost. It costs about a tenth of the write throughput.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
}
HINT = "Use postgresql://user:password@host:5432/name or sqlite:////absolute/path.sqlite3."
_CONNECTION = {"ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS"}


@dataclass(frozen=True, kw_only=True)
class DatabaseConfig:
    """Where the database is and how it is connected to. Raises ConfigurationError for bad values.

    `database` is a name, for SQLite a path. `host` may be a list ("a,b"), a socket's directory or
    empty, `port` a list likewise. `pool_size` connections are shared by the threads of a process;
    None: each thread keeps one for `conn_max_age` seconds. `transaction_pooler` says that a pooler
    in between mixes sessions. `options` go to the driver, `extra` into Django's setting.
    """

    host: str = "localhost"
    port: int | str = 5432
    database: str = "signalbox"
    user: str = ""
    password: str = field(default="", repr=False)
    engine: str = "postgresql"
    pool_size: int | None = None
    conn_max_age: int | None = 60
    connect_timeout: int = 5
    transaction_pooler: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        require(
            self,
            {
                "host": (is_text, "a text"),
                "port": (_is_port, "from 1 to 65535"),
                "database": (is_name, "a name or a path"),
                "user": (is_text, "a text"),
                "password": (is_text, "a text"),
                "engine": (lambda value: value in tuple(ENGINES), "'postgresql' or 'sqlite'"),
                "pool_size": (lambda n: n is None or is_whole(n, 1), "None or at least 1"),
                "conn_max_age": (lambda n: n is None or is_whole(n, 0), "None or at least 0"),
                "connect_timeout": (lambda value: is_whole(value, 1), "at least 1"),
                "transaction_pooler": (is_flag, "True or False"),
                "options": (lambda value: isinstance(value, Mapping), "a mapping"),
                "extra": (lambda value: isinstance(value, Mapping), "a mapping"),
            },
        )

    @classmethod
    def from_url(cls, url: str, **fields: Any) -> Self:
        """Return the database that a URL describes; its query becomes `options`.

        Raises ConfigurationError, which never repeats the URL, when it cannot be used.
        """
        parsed = _parse(url)
        if parsed is None:
            raise ConfigurationError(f"This is not a database URL that can be used. {HINT}")
        return cls(
            engine="sqlite" if parsed["ENGINE"].endswith("sqlite3") else "postgresql",
            database=parsed["NAME"],
            user=parsed.get("USER", ""),
            password=parsed.get("PASSWORD", ""),
            # A socket's directory comes percent-encoded.
            host=unquote(parsed.get("HOST", "")),
            port=parsed.get("PORT", ""),
            options=parsed.get("OPTIONS", {}),
            extra={key: value for key, value in parsed.items() if key not in _CONNECTION},
            **fields,
        )

    @classmethod
    def from_environment(
        cls, environment: Environment | None = None, *, default: Self | None = None
    ) -> Self:
        """Return the database of `DATABASE_URL`, or else `default`: SQLite in `VAR_DIR`.

        Also reads DATABASE_CONN_MAX_AGE, DATABASE_CONNECT_TIMEOUT, DATABASE_POOL_SIZE (0: none),
        DATABASE_TRANSACTION_POOLER and FORCE_IPV4_DB (unset: on where Render sets RENDER). Raises
        ConfigurationError for values that cannot be used; a reader that is given collects them.
        """
        reader = environment or Environment.of_process()
        fields = {
            "conn_max_age": reader.integer("DATABASE_CONN_MAX_AGE", 60),
            "connect_timeout": reader.integer("DATABASE_CONNECT_TIMEOUT", 5, minimum=1),
            "pool_size": reader.integer("DATABASE_POOL_SIZE", 0) or None,
            "transaction_pooler": reader.flag("DATABASE_TRANSACTION_POOLER", False),
        }
        force_ipv4 = reader.flag("FORCE_IPV4_DB", reader.is_set("RENDER"))
        url = reader.text("DATABASE_URL")
        config = default or cls.in_file(Path(reader.text("VAR_DIR", "var")) / "db.sqlite3")
        if url:
            try:
                config = cls.from_url(force_ipv4_database_url(url) if force_ipv4 else url, **fields)
            except ConfigurationError:
                reader.report("DATABASE_URL", "is not a database URL that can be used.", HINT)
        if environment is None:
            reader.require_valid()
        return config

    @classmethod
    def in_file(cls, path: Path) -> Self:
        """Return a SQLite database in this file."""
        return cls(engine="sqlite", database=str(path.absolute()), host="", port="")

    def to_django(self) -> dict[str, Any]:
        """Return what `DATABASES` holds for it."""
        setting = {
            "ENGINE": ENGINES[self.engine],
            "NAME": self.database,
            "USER": self.user,
            "PASSWORD": self.password,
            "HOST": self.host,
            "PORT": self.port,
            **self.extra,
        }
        if self.engine == "sqlite":
            return setting | {"OPTIONS": SQLITE_OPTIONS}
        options = {
            "connect_timeout": self.connect_timeout,
            **self.options,
        }
        if self.pool_size:
            options["pool"] = {"min_size": 1, "max_size": self.pool_size}
        return setting | {
            "DISABLE_SERVER_SIDE_CURSORS": self.transaction_pooler,
            # A pool keeps connections itself; Django refuses both at once.
            "CONN_MAX_AGE": 0 if self.pool_size else self.conn_max_age,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": options,
        }


def _parse(url: str) -> dict[str, Any] | None:
    if not isinstance(url, str):
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            database: dict[str, Any] = environ.Env.db_url_config(url)
    except ValueError:
        return None
    if database.get("ENGINE") not in ENGINES.values():
        return None
    path = url.partition("://")[2].partition("?")[0].partition("/")[2]
    if "@" in path and not database["ENGINE"].endswith("sqlite3"):
        # A password with a "/" that is not percent-encoded: its rest is no name to be shown.
        return None
    return database if database["NAME"] else None


def _is_port(value: Any) -> bool:
    if isinstance(value, str):
        return value == "" or all(
            part.isascii() and part.isdigit() and is_whole(int(part), 1, 65535)
            for part in value.split(",")
        )
    return is_whole(value, 1, 65535)
