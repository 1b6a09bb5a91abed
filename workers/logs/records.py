"""Turns records into rows of the table; no record can keep the others of its batch out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from .models import RequestLog

logger = logging.getLogger(__name__)

Record = dict[str, Any]

_TEXTS = {
    name: getattr(RequestLog._meta.get_field(name), "max_length", 0)
    for name in ("method", "path", "user_id", "correlation_id", "tenant_id", "route")
}
# What is raised by what has no id or time, or none that can be stored.
_NO_RECORD = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
_COLUMNS = {*_TEXTS, "id", "at", "status", "duration_ms"}


def checked(given: Iterable[Any]) -> list[Record]:
    """Return the records, each with its id and time as tables take them; say of what is none."""
    found: list[Record] = []
    for each in given:
        try:
            found.append({**each, "id": str(UUID(each["id"])), "at": _moment(each["at"])})
        except _NO_RECORD as error:
            why = type(error).__name__
            logger.warning("request logs: left out what has no usable id and time (%s)", why)
    return found


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns for a checked record; what has none of its own goes into `more`."""
    known: dict[str, Any] = {"id": record["id"], "at": record["at"]}
    for name, longest in _TEXTS.items():
        known[name] = _text(record.get(name))[:longest]
    known["status"] = _number(record.get("status"), int, 32_767)
    known["duration_ms"] = _number(record.get("duration_ms"), float, 1e12)
    known["more"] = {
        name: _plain(value)
        for name, value in record.items()
        if name not in _COLUMNS and value is not None
    }
    return known


def _moment(value: str) -> str:
    moment = parse_datetime(value)
    if moment is None or is_naive(moment):
        raise ValueError(value)
    return moment.astimezone(UTC).isoformat()


def _text(value: Any) -> str:
    # PostgreSQL keeps no NUL.
    return "" if value is None else str(value).replace("\x00", "")


def _number(value: Any, kind: type[int] | type[float], most: float) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return kind(value) if is_number and 0 <= value <= most else None


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_text(name): _plain(item) for name, item in value.items()}
    return value
