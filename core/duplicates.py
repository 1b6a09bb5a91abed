"""Which of the database's refusals mean that another row is in the way."""

from __future__ import annotations

from django.db import IntegrityError

# PostgreSQL's SQLSTATE of unique_violation and exclusion_violation.
_STATES = {"23505", "23P01"}
# SQLite's extended codes of UNIQUE, PRIMARYKEY, ROWID.
_CODES = {2067, 1555, 2579}


def is_duplicate(error: IntegrityError) -> bool:
    """Tell whether a row was refused for values that another one has."""
    cause = error.__cause__
    state, code = getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorcode", None)
    return state in _STATES or code in _CODES
