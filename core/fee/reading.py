"""Reading the platform fee: from the process, then the cache, then the database."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone

from core.fee import cache as fee_cache
from core.fee.cache import Row
from core.fee.history import PlatformFeeChange
from core.fee.memory import Known, memory
from core.fee.rows import PlatformFeeQuerySet
from core.fee.terms import Terms

Rows = Callable[[], PlatformFeeQuerySet]
NO_PLAN: dict[str, Any] = {
    "planned_percentage": None,
    "planned_from": None,
    "planned_by_id": None,
}


def current(rows: Rows) -> Known:
    """Return the fee in force; inside a transaction that has changed it, that transaction's."""
    if fee_cache.is_changing():
        return _known(in_force(rows().stored().row))
    return memory.get() or _look_up(rows())


def terms_at(rows: Rows, at: datetime) -> Terms:
    """Return the fee that was in force then or, by what is planned, will be."""
    # The plan first: should it take effect in between, then history has it.
    row = rows().stored().row
    if row["planned_from"] is not None and row["planned_from"] <= at:
        return Terms.of(row["planned_percentage"])
    percentage = PlatformFeeChange.objects.using(rows().db).percentage_at(at)
    return _terms(row) if percentage is None else Terms.of(percentage)


def warm(rows: Rows) -> None:
    """Fill the cache from the database, whatever is in it."""
    if not fee_cache.is_changing():
        _look_up(rows(), trusts_cache=False)


def in_force(row: Row) -> Row:
    """Return the row as it is once a plan whose time has come is the fee."""
    if _seconds_to_plan(row) > 0:
        return row
    planned = {"fee_percentage": row["planned_percentage"], "updated_by_id": row["planned_by_id"]}
    return {**row, **planned, **NO_PLAN}


def _look_up(rows: PlatformFeeQuerySet, *, trusts_cache: bool = True) -> Known:
    """Return the fee in force, and leave it where the next reader finds it sooner."""
    ticket = memory.ticket()
    found, stamp = fee_cache.read()
    # No other process can take the row out of a cache that is this one's own.
    trusts_cache = trusts_cache and fee_cache.is_shared()
    if trusts_cache and found is not None and found.keys() == set(rows.columns):
        known = _known(in_force(found))
    else:
        stored = rows.stored()
        known = _known(in_force(stored.row))
        if not stored.is_newest:
            return known
        _fill_cache(stored.row, known, stamp)
    memory.put(known, ticket, seconds=_seconds_to_plan(known.row))
    return known


def _fill_cache(stored: Row, known: Known, stamp: str | None) -> None:
    terms, seconds = known.terms, _seconds_to_plan(known.row)
    fee_cache.fill(
        stored, stamp, percentage=terms.percentage, fraction=terms.fraction, seconds=seconds
    )


def _known(row: Row) -> Known:
    return Known(row, _terms(row))


def _terms(row: Row) -> Terms:
    return Terms.of(row["fee_percentage"])


def _seconds_to_plan(row: Row) -> float:
    start: datetime | None = row["planned_from"]
    return math.inf if start is None else (start - timezone.now()).total_seconds()
