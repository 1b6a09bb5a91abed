"""The SQL of the engine: the same steps on PostgreSQL and on SQLite."""

from __future__ import annotations

from functools import cache

from django.db import connections
from django.utils.module_loading import import_string

from core.events.errors import SettingsError
from core.events.store.base import Store
from core.events.store.rows import Claimed, Due, Lapsed, Release, Scope, Want

__all__ = ["Claimed", "Due", "Lapsed", "Release", "Scope", "Store", "Want", "store_for"]

_STORES = {
    "postgresql": "core.events.store.postgresql.PostgresStore",
    "sqlite": "core.events.store.sqlite.SqliteStore",
}


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
    # Only here, since psycopg takes a while to import and SQLite needs none of it.
    store: type[Store] = import_string(_STORES[vendor])
    return store(alias)
