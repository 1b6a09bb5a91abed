"""What the database refuses, as errors that say whether it is a duplicate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, models

from core.duplicates import is_duplicate
from core.exceptions import AlreadyExistsError, DatabaseError


class _IntegrityText:
    """Lets `str(error)` name the column in the database's words; `message` does not leak them."""

    def __str__(self) -> str:
        cause = getattr(self, "__cause__", None)
        message = super().__str__()
        return f"{message}: {cause}" if cause else message


class DuplicateRowError(_IntegrityText, AlreadyExistsError, IntegrityError):
    """There is a row with these values already."""


class RefusedRowError(_IntegrityText, DatabaseError, IntegrityError):
    """The database refused the row, since it breaks a constraint."""


@contextmanager
def translated(label: str) -> Iterator[None]:
    """Raise what the database refuses in the block as DuplicateRowError or RefusedRowError."""
    try:
        yield
    except (DuplicateRowError, RefusedRowError, models.ProtectedError, models.RestrictedError):
        raise
    except IntegrityError as error:
        if is_duplicate(error):
            raise DuplicateRowError(f"{label}: there is a row with these values already") from error
        raise RefusedRowError(f"{label}: the database refused the row") from error
