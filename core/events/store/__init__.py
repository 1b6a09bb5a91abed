"""The SQL of the engine: the same steps on PostgreSQL and on SQLite."""

from __future__ import annotations

from functools import cache

from django.db import connections

from core.events.errors import SettingsError
from core.events.store.base import Store
from core.events.store.postgresql import PostgresStore
from core.events.store.rows import Claimed, Due, Lapsed, Release, Scope, Want
from core.events.store.sqlite import SqliteStore

__all__ = ["Claimed", "Due", "Lapsed", "Release", "Scope", "Store", "Want", "store_for"]

_STORES: dict[str, type[Store]] = {"postgresql": PostgresStore, "sqlite": SqliteStore}


@cache
def store_for(alias: str) -> Store:
    """Return the store of a database alias.

    Raises SettingsError when its engine is neither PostgreSQL nor SQLite.
    """
    vendor = connections[alias].vendor
    if vendor not in _STORES:
        raise SettingsError(
            f"the database {alias!r} is {vendor}; events live on PostgreSQL or SQLite: "
            "point EVENTS_DATABASE to such an alias"
        )
    return _STORES[vendor](alias)
