"""What becomes of a logged value: plain JSON, bounded, secrets redacted by the names of fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import Any
from uuid import UUID

from core.logs.interrupts import is_interruption
from core.logs.texts import CUT, shown
from core.redaction import REDACTED, is_secret

# Characters of one text, entries of one container, and how deep containers may be nested.
MAX_TEXT = 8_192
MAX_ENTRIES = 100
MAX_DEPTH = 6
# Characters of all the values of a record together; each value counts for at least this many.
MAX_VALUES = 32_768
_LEAST = 8
_INTEGERS = range(-(2**63), 2**63)


def encodable(text: str) -> str:
    """Return the text with what no encoding takes, such as half of a pair, spelt as an escape."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def unprintable(value: object, error: BaseException) -> str:
    """Return what a line says instead of a value that raised when it was looked at."""
    return f"<unprintable {type(value).__name__}: {type(error).__name__}>"


class Values:
    """Turns the values of one record into JSON values; what is too much is cut off."""

    def __init__(self) -> None:
        self._room = MAX_VALUES

    def field(self, name: str, value: Any) -> Any:
        """Return the value of a field; of a secret one, that it is redacted."""
        return REDACTED if is_secret(name) and value is not None else self.plain(value)

    def plain(self, value: Any, depth: int = 0) -> Any:
        """Return a text, a number, a truth value, None, or a list or dict of those."""
        if self._room <= 0:
            return CUT
        kind = type(value)
        if kind is str:
            return self._text(value)
        self._room -= _LEAST
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if value in _INTEGERS else _big(value)
        if kind is float:
            return value if math.isfinite(value) else str(value)
        try:
            return self._other(value, depth)
        except Exception as error:
            if is_interruption(error):
                raise
            return unprintable(value, error)

    def _other(self, value: Any, depth: int) -> Any:
        if isinstance(value, Enum):
            return self.plain(value.value, depth)
        for known, convert in _CONVERSIONS:
            if isinstance(value, known):
                return self.plain(convert(value), depth)
        found = named_values(value)
        if found is not None or isinstance(value, Mapping):
            return self._dict(value.items() if found is None else found, depth)
        if isinstance(value, list | tuple | Set):
            return self._list(value, depth)
        return self._text(described(value))

    def _text(self, text: str) -> str:
        text = shown(text, min(MAX_TEXT, max(self._room, _LEAST)))
        self._room -= len(text) + _LEAST
        return encodable(text)

    def _dict(self, items: Iterable[tuple[Any, Any]], depth: int) -> Any:
        if depth == MAX_DEPTH:
            return CUT
        found: dict[str, Any] = {}
        for key, value in items:
            if len(found) == MAX_ENTRIES or self._room <= 0:
                found[CUT] = CUT
                break
            name = self._text(key if type(key) is str else str(key))
            found[name] = REDACTED if is_secret(name) else self.plain(value, depth + 1)
        return found

    def _list(self, values: Iterable[Any], depth: int) -> Any:
        if depth == MAX_DEPTH:
            return CUT
        if is_secret_pair(values):
            return [self.plain(next(iter(values)), depth + 1), REDACTED]
        found: list[Any] = []
        for value in islice(values, MAX_ENTRIES + 1):
            if len(found) == MAX_ENTRIES or self._room <= 0:
                found.append(CUT)
                break
            found.append(self.plain(value, depth + 1))
        return found


def _big(number: int) -> str:
    return str(number) if number.bit_length() < 2048 else f"<int of {number.bit_length()} bits>"


_CONVERSIONS: list[tuple[Any, Callable[[Any], Any]]] = [
    (str, str.__str__),
    (bool, bool),
    (int, int),
    (float, float),
    ((date, time), lambda value: value.isoformat()),
    (BaseException, lambda value: f"{type(value).__name__}: {value}"),
    ((UUID, Decimal, timedelta), str),
    (bytes | bytearray | memoryview, lambda value: f"<{len(value)} bytes>"),
]


def is_secret_pair(values: Iterable[Any]) -> bool:
    """Tell whether this is a name and a secret, as the headers of a request are listed."""
    if not isinstance(values, list | tuple) or len(values) != 2:
        return False
    return is_secret_key(values[0]) and isinstance(values[1], str | bytes)


def is_secret_key(key: Any) -> bool:
    """Tell whether a key, which may be of any type, names a secret."""
    return isinstance(key, str | bytes) and is_secret(key if type(key) is str else str(key))


def named_values(value: Any) -> list[tuple[str, Any]] | None:
    """Return what the repr of a dataclass, a pydantic model, an attrs class or a named tuple shows.

    None of anything else. What such a class leaves out of its repr is left out.
    """
    kind = type(value)
    if is_dataclass(kind):
        return [(each.name, getattr(value, each.name)) for each in fields(kind) if each.repr]
    if hasattr(kind, "model_fields"):
        return [(name, item) for name, item in value.__repr_args__() if name]
    if hasattr(kind, "__attrs_attrs__"):
        shown = (each.name for each in kind.__attrs_attrs__ if each.repr)
        return [(name, getattr(value, name)) for name in shown]
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return list(zip(kind._fields, value, strict=True))
    return None


def described(value: Any) -> str:
    """Return a short text about an object, without asking a database and without a URL's query."""
    kind = type(value)
    if hasattr(kind, "_meta") and hasattr(kind, "pk"):
        return f"{value._meta.label}:{value.pk}"
    if hasattr(kind, "_fetch_all"):
        return f"<{kind.__name__} of {value.model._meta.label}>"
    if hasattr(value, "META") and hasattr(value, "path"):
        return f"{value.method} {value.path}"
    return repr(value)
