"""AsyncRepository: the same as BaseRepository, awaited."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async

from core.db_toolkit.keyset import KeysetPage, akeyset_page
from core.db_toolkit.pagination import (
    DEFAULT_SIZE,
    Order,
    PaginationParams,
    PaginationResult,
    apaginate,
)
from core.repositories.common import Filters, Repository, Row
from core.rows.values import REFUSED_VALUES, could_be


class AsyncRepository(Repository[Row]):
    """Does as `BaseRepository`, awaited."""

    async def get_by_id(self, pk: Any) -> Row | None:
        """Return the row with this key; None if there is none or this can be no key."""
        if not self._is_key(pk):
            return None
        try:
            return await self.manager.aget(pk=pk)
        except self.model.DoesNotExist:
            return None
        except REFUSED_VALUES:
            if could_be(self.model._meta.pk, pk):
                raise
            return None

    async def get_by_field(self, field: str, value: Any) -> Row | None:
        """Return the row in which the field has this value, or None.

        Raises the model's MultipleObjectsReturned when there are several.
        """
        try:
            return await self._having(field, value).aget()
        except self.model.DoesNotExist:
            return None

    async def list(
        self, filters: Filters = None, *, order_by: Order = None, limit: int | None = None
    ) -> builtins.list[Row]:
        """Return the rows whose fields equal the filters, as a list."""
        return [row async for row in self._list(filters, order_by, limit)]

    async def list_paginated(
        self,
        page: int | str = 1,
        size: int | str = DEFAULT_SIZE,
        order_by: Order = None,
        *,
        filters: Filters = None,
    ) -> PaginationResult[Row]:
        """Return a page of the rows, in the given order or that of the model, then by key."""
        return await apaginate(self.query(filters), PaginationParams(page, size), order_by)

    async def list_keyset(
        self,
        after: str | None = None,
        size: int = DEFAULT_SIZE,
        order_by: Order = None,
        *,
        filters: Filters = None,
    ) -> KeysetPage[Row]:
        """Return the rows behind the cursor `after`, or the first ones; see `keyset_page`."""
        return await akeyset_page(self.query(filters), after=after, size=size, order_by=order_by)

    async def create(self, data: Mapping[str, Any]) -> Row:
        """Insert a row and return it; raises what `BaseRepository.create` raises."""
        return await sync_to_async(self._create)(data)

    async def update(self, pk: Any, data: Mapping[str, Any]) -> Row:
        """Change these fields of the row; raises what `BaseRepository.update` raises."""
        return await sync_to_async(self._update)(pk, data)

    async def delete(self, pk: Any) -> bool:
        """Delete the row, softly if its model does that; return False if there is none."""
        return await sync_to_async(self._delete)(pk)
