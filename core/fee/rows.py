"""The stored platform fee: one row, read as it is now or with a lock."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from django.db import connections, models
from django.db.models import CharField, Func, Value
from django.db.models.functions import Now

from core.exceptions import BusinessLogicError
from core.fee.cache import Row

ONLY_ID = 1


@dataclass(frozen=True, slots=True)
class Stored:
    """The values of the row, and whether they are the newest that are committed."""

    row: Row
    is_newest: bool


@dataclass(frozen=True, slots=True)
class Locked:
    """The locked row as an instance, the database's time, and whether it was made just now."""

    config: Any
    now: datetime
    is_new: bool


class PlatformFeeQuerySet(models.QuerySet[Any]):
    """Reads; refuses what would go past the validation, the history, the signal and the cache."""

    @property
    def columns(self) -> list[str]:
        """Return the names that a row has."""
        return [field.attname for field in self.model._meta.concrete_fields]

    def stored(self) -> Stored:
        """Return the row, which is made with the default if it is missing.

        Works in an event loop as well, which it holds up for about a millisecond.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._stored()
        # Django refuses queries in the thread of an event loop. Few ever get here: the fee is
        # looked up once a second, and is in a shared cache then.
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(self._stored_in_thread).result()

    def lock(self) -> Locked:
        """Return the row, locked until the transaction ends; it is made if it is missing."""
        rows = self._only_row().select_for_update().annotate(database_now=Now())
        config = rows.first()
        is_new = config is None
        if is_new:
            self._make()
            config = rows.get()
        return Locked(config, config.database_now, is_new)

    def update(self, **kwargs: Any) -> NoReturn:
        """Refuse: `save()` validates, announces the change and clears the cache."""
        raise BusinessLogicError("The platform fee is changed with save(), not update()")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse, as `update()` does."""
        raise BusinessLogicError("The platform fee is changed with save(), not bulk_update()")

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there is one platform fee."""
        raise BusinessLogicError("The platform fee is changed with save(), not bulk_create()")

    def delete(self) -> NoReturn:
        """Refuse: there is always a platform fee."""
        raise BusinessLogicError("The platform fee cannot be deleted, only changed")

    # Django's marks: templates may not call these, and managers do not offer `delete`.
    update.alters_data = delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def _only_row(self) -> PlatformFeeQuerySet:
        return self.filter(pk=ONLY_ID)

    def _make(self) -> None:
        # A transaction that does the same just now is waited for, and its row stays.
        super().bulk_create([self.model(pk=ONLY_ID)], ignore_conflicts=True)

    def _stored(self) -> Stored:
        rows = self._only_row()
        if connections[self.db].vendor == "postgresql":
            level = Func(Value("transaction_isolation"), function="current_setting")
            rows = rows.annotate(isolation=models.ExpressionWrapper(level, CharField()))
            found = rows.values(*self.columns, "isolation")
        else:
            found = rows.values(*self.columns)
        row = found.first()
        if row is None:
            self._make()
            row = found.get()
        return Stored(row, self._is_newest(row.pop("isolation", "")))

    def _stored_in_thread(self) -> Stored:
        try:
            return self._stored()
        finally:
            connections.close_all()

    def _is_newest(self, isolation: str) -> bool:
        """Tell whether the last statement saw what was committed before it, and not only before
        its transaction began.
        """
        connection = connections[self.db]
        if not connection.in_atomic_block or isolation == "read committed":
            return True
        # On SQLite nobody else commits while a transaction holds the lock for writing.
        mode = connection.settings_dict["OPTIONS"].get("transaction_mode")
        return connection.vendor == "sqlite" and mode in ("IMMEDIATE", "EXCLUSIVE")
