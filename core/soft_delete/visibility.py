"""The condition that hides deleted rows, and how a query gets rid of it."""

from __future__ import annotations

from django.db.models.lookups import Exact
from django.db.models.sql.where import WhereNode


class HidesDeleted(Exact):
    """The condition that a manager adds by itself; `with_deleted()` knows it by its type."""


def show_deleted(where: WhereNode) -> None:
    """Take the manager's own condition out of these conditions; what users asked for stays."""
    for index, child in enumerate(where.children):
        if isinstance(child, HidesDeleted):
            # An empty node is true wherever it stands, also within OR and NOT.
            where.children[index] = WhereNode()
        elif isinstance(child, WhereNode):
            show_deleted(child)
