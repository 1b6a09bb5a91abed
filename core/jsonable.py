"""Makes any value fit for JSON, for what people and other programs read; it is not read back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from datetime import date, time, timedelta
from enum import Enum
from typing import Any

from django.utils.duration import duration_iso_string

_DEEPEST = 32


def jsonable(value: Any, _depth: int = 0) -> Any:
    """Return `value` in JSON's own types: dicts with text keys, lists, texts, numbers, bool, None.

    Decimals, UUIDs and numbers that are not finite become text, dates and durations ISO 8601, sets
    sorted lists, an Enum its value, anything else its `str()`. It never raises: what is nested
    deeper than 32 levels, or contains itself, ends in "…".
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return jsonable(value.value, _depth)
    if isinstance(value, Mapping | list | tuple | Set):
        return _container(value, _depth + 1)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_iso_string(value)
    return _text(value)


def _container(
    value: Mapping[Any, Any] | list[Any] | tuple[Any, ...] | Set[Any], depth: int
) -> Any:
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {_key(key): jsonable(item, depth) for key, item in value.items()}
    items = [jsonable(item, depth) for item in value]
    return sorted(items, key=str) if isinstance(value, Set) else items


def _key(key: Any) -> str:
    plain = jsonable(key)
    return plain if isinstance(plain, str) else _text(plain)


def _text(value: Any) -> str:
    try:
        if isinstance(value, bytes | bytearray):
            return value.decode("utf-8", "backslashreplace")
        return str(value)
    except Exception:  # a broken __str__ must not hide what is being reported
        return f"<{type(value).__name__}>"
