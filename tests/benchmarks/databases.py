"""Databases on one PostgreSQL server: migrated once, copied for each side, dropped at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql


class Databases:
    """The databases of one run, all named `sb_bench_<process>_...`."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._names: list[str] = []
        self.template = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for name in self._names:
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    @contextmanager
    def making_template(self) -> Iterator[str]:
        """Yield the address of a new database, of which copies are made later."""
        name = self._name("template")
        self._execute("CREATE DATABASE {}", name)
        yield self._url(name)
        self.template = name

    def copy(self, name: str) -> str:
        """Return the address of a copy of the template."""
        name = self._name(name)
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, self.template)
        return self._url(name)

    def _name(self, name: str) -> str:
        name = f"sb_bench_{os.getpid()}_{name}"
        self._names.append(name)
        return name

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server)._replace(path=f"/{name}"))

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
