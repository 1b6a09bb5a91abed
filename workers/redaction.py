"""Masks secrets in payloads and turns payloads into plain JSON."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Set
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
from django.utils.duration import duration_iso_string

from core.events.event import MASK
from core.redaction import is_secret

_JSON_INTEGERS = range(-(2**63), 2**63)


def masked(data: Mapping[str, Any], sensitive: Set[str] = frozenset()) -> dict[str, Any]:
    """Return a copy in which secrets and the `sensitive` fields, at any depth, are masked."""
    return {
        key: MASK if key in sensitive or is_secret(key) else _masked(value, sensitive)
        for key, value in data.items()
    }


def _masked(value: Any, sensitive: Set[str]) -> Any:
    kind = type(value)
    if kind is dict:
        return masked(value, sensitive)
    if kind is list:
        return [_masked(item, sensitive) for item in value]
    return json_integer(value)


def json_integer(value: Any) -> Any:
    """Return an integer that other systems' JSON could not hold as text, anything else as it is."""
    return str(value) if type(value) is int and value not in _JSON_INTEGERS else value


def to_json(value: Any, *, decimal: Callable[[Decimal], Any] = str) -> bytes:
    """Return JSON for people and other systems, in which the types of a payload become text.

    `decimal` says what becomes of a Decimal; sets become lists, bytes base64, references objects.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return decimal(value)
        if isinstance(value, set | frozenset):
            return list(value)
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, timedelta):
            return duration_iso_string(value)
        raise TypeError(f"{type(value).__name__} has no plain form")

    return orjson.dumps(value, default=plain, option=orjson.OPT_UTC_Z)
