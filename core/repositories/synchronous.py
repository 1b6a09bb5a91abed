"""BaseRepository: reads and writes the rows of one model."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from core.db_toolkit.keyset import KeysetPage, keyset_page
from core.db_toolkit.pagination import (
    DEFAULT_SIZE,
    Order,
    PaginationParams,
    PaginationResult,
    paginate,
)
from core.repositories.common import Filters, Repository, Row
from core.rows.values import REFUSED_VALUES, could_be


class BaseRepository(Repository[Row]):
    """Reads and writes the rows of one model.

    `class UserRepository(BaseRepository[User])` adds finders; `BaseRepository[User]()` works by
    itself. Data and filters map names of fields to values; an unknown field, or a value that a
    field cannot have, raises ValidationError before anything is written.
    """

    def get_by_id(self, pk: Any) -> Row | None:
        """Return the row with this key; None if there is none or this can be no key."""
        if not self._is_key(pk):
            return None
        try:
            return self.manager.get(pk=pk)
        except self.model.DoesNotExist:
            return None
        except REFUSED_VALUES:
            if could_be(self.model._meta.pk, pk):
                raise
            return None

    def get_by_field(self, field: str, value: Any) -> Row | None:
        """Return the row in which the field has this value, or None.

        Raises the model's MultipleObjectsReturned when there are several.
        """
        try:
            return self._having(field, value).get()
        except self.model.DoesNotExist:
            return None

    def list(
        self, filters: Filters = None, *, order_by: Order = None, limit: int | None = None
    ) -> builtins.list[Row]:
        """Return the rows whose fields equal the filters, as a list."""
        return [*self._list(filters, order_by, limit)]

    def list_paginated(
        self,
        page: int | str = 1,
        size: int | str = DEFAULT_SIZE,
        order_by: Order = None,
        *,
        filters: Filters = None,
    ) -> PaginationResult[Row]:
        """Return a page of the rows, in the given order or that of the model, then by key."""
        return paginate(self.query(filters), PaginationParams(page, size), order_by)

    def list_keyset(
        self,
        after: str | None = None,
        size: int = DEFAULT_SIZE,
        order_by: Order = None,
        *,
        filters: Filters = None,
    ) -> KeysetPage[Row]:
        """Return the rows behind the cursor `after`, or the first ones; see `keyset_page`."""
        return keyset_page(self.query(filters), after=after, size=size, order_by=order_by)

    def create(self, data: Mapping[str, Any]) -> Row:
        """Insert a row and return it; a failure leaves the transaction around it usable.

        Raises DuplicateRowError (an AlreadyExistsError and an IntegrityError) when its values are
        taken, RefusedRowError (a DatabaseError and an IntegrityError) for another constraint.
        """
        return self._create(data)

    def update(self, pk: Any, data: Mapping[str, Any]) -> Row:
        """Lock the row, change these fields by `save()` and return it.

        Raises NotFoundError when there is none, and what `create` raises.
        """
        return self._update(pk, data)

    def delete(self, pk: Any) -> bool:
        """Delete the row, softly if its model does that; return False if there is none."""
        return self._delete(pk)
