"""Handling inside somebody's open transaction, as under TestCase."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connections, transaction


@contextmanager
def shielded(alias: str) -> Iterator[None]:
    """Keep a database error within the block from breaking the transaction around it.

    Without a transaction around it, which is how workers run, this does nothing. Within one, what
    the block wrote stays, as it would have in a worker, unless the database refuses to go on.
    """
    connection = connections[alias]
    if not connection.in_atomic_block:
        yield
        return
    savepoint = transaction.savepoint(using=alias)
    try:
        yield
    finally:
        try:
            transaction.savepoint_commit(savepoint, using=alias)
        except DatabaseError:
            connection.needs_rollback = False
            transaction.savepoint_rollback(savepoint, using=alias)
