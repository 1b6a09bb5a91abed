"""Makes any value fit for JSON, for what people and other programs read; it is not read back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from datetime import date, time, timedelta
from enum import Enum
from typing import Any

from django.utils.duration import duration_iso_string

_DEEPEST = 32


# Python refuses to write longer numbers in decimals.
_MOST_BITS = 14_000


def jsonable(value: Any) -> Any:
    """Return `value` in JSON's own types: dicts with text keys, lists, texts, numbers, bool, None.

    Decimals, UUIDs and numbers that are not finite become text, dates and durations ISO 8601, sets
    sorted lists, an Enum its value, anything else its `str()`. It never raises: what is nested
    deeper than 32 levels, or contains itself, ends in "…".
    """
    return _plain(value, ())


def _plain(value: Any, above: tuple[int, ...]) -> Any:
    try:
        if isinstance(value, Mapping | list | tuple | Set):
            return _container(value, above)
        return _scalar(value)
    except Exception:  # a broken value must not hide what is being reported
        return f"<{type(value).__name__}>"


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _scalar(value.value)
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, int):
        return int(value) if value.bit_length() < _MOST_BITS else hex(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_iso_string(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    return _text(str(value))


def _container(
    value: Mapping[Any, Any] | list[Any] | tuple[Any, ...] | Set[Any], above: tuple[int, ...]
) -> Any:
    if len(above) == _DEEPEST or id(value) in above:
        return "…"
    path = (*above, id(value))
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, path) for key, item in value.items()}
    items = [_plain(item, path) for item in value]
    return sorted(items, key=str) if isinstance(value, Set) else items


def _key(key: Any) -> str:
    plain = _plain(key, ())
    return plain if isinstance(plain, str) else str(plain)


def _text(text: str) -> str:
    # Half a character (a lone surrogate) cannot be sent.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
