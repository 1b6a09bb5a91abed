"""How payloads become JSON and come back with their types.

JSON's own types stand for themselves. Another type is an object with one key that begins with
"$", such as `{"$decimal": "110.00"}`. A payload's own keys that begin with "$" get one more "$",
so no payload can be taken for a tag.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Model
from django.utils.functional import Promise

from core.events.errors import EventPayloadError
from core.events.event import ModelRef

MAX_DEPTH = 64
_INT64 = range(-(2**63), 2**63)


class _Refused(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place: list[str] = []


def encode(data: Mapping[str, Any], *, signal: str, limit: int) -> str:
    """Return the payload as JSON text of at most `limit` bytes.

    Raises EventPayloadError that names the signal and the key of the value that is refused.
    """
    try:
        plain = _Encoder(limit).mapping(data, 0)
        blob = _dump(plain)
    except _Refused as refused:
        place = _printable(".".join(reversed(refused.place))) or "payload"
        raise EventPayloadError(
            f"{signal}: {place!r} {refused.reason}",
            details={"signal": signal, "key": place},
        ) from None
    if len(blob) > limit:
        largest = max(plain, key=lambda key: len(orjson.dumps(plain[key])))
        raise EventPayloadError(
            f"{signal}: the payload has {len(blob)} bytes, more than EVENTS_MAX_PAYLOAD_BYTES "
            f"({limit}); the largest value is {largest!r}: store it elsewhere and send its id",
            details={"signal": signal, "key": largest},
        )
    return blob.decode()


def decode(text: str) -> dict[str, Any]:
    """Return the payload that `encode` wrote, each value with its type.

    Raises EventPayloadError when the text is damaged or names a type that is gone.
    """
    try:
        data = orjson.loads(text)
        decoded = _decode(data) if '"$' in text else data
    except EventPayloadError:
        raise
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise EventPayloadError(f"the stored payload cannot be read: {error}") from error
    if not isinstance(decoded, dict):
        raise EventPayloadError(f"the stored payload is {type(decoded).__name__}, not an object")
    return decoded


class _Encoder:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Every item and every character costs a byte at least, so this bounds shared structures
        # that unfold hugely, before they are written.
        self._left = limit

    def value(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            self._spend(len(value))
            return value
        if kind is bool or value is None:
            return value
        if kind is int:
            return value if value in _INT64 else self.tagged("$int", hex(value))
        if kind is float:
            return _finite(value)
        if kind is dict:
            return self.mapping(value, depth)
        if kind is list or kind is tuple:
            return self.sequence(value, depth)
        for base, encoder in _ENCODERS:
            if isinstance(value, base):
                return encoder(self, value, depth)
        raise _Refused(
            f"is {kind.__module__}.{kind.__qualname__}, which an event cannot carry; "
            "send JSON values, Decimal, UUID, dates, Enum, bytes, sets or model instances"
        )

    def mapping(self, value: Mapping[str, Any], depth: int) -> dict[str, Any]:
        self._enter(value, depth)
        encoded = {}
        for key, item in value.items():
            try:
                if not isinstance(key, str):
                    raise _Refused(f"is a key of type {type(key).__name__}; keys must be strings")
                name = str.__str__(key)
                self._spend(len(name))
                encoded["$" + name if name[:1] == "$" else name] = self.value(item, depth + 1)
            except _Refused as refused:
                refused.place.append(str(key))
                raise
        return encoded

    def sequence(self, value: Any, depth: int) -> list[Any]:
        self._enter(value, depth)
        encoded = []
        for index, item in enumerate(value):
            try:
                encoded.append(self.value(item, depth + 1))
            except _Refused as refused:
                refused.place.append(str(index))
                raise
        return encoded

    def members(self, value: Any, depth: int) -> list[Any]:
        # A tuple in a set must come back hashable, so there it keeps its type.
        self._enter(value, depth)
        return [self._hashable(item, depth + 1) for item in value]

    def _hashable(self, item: Any, depth: int) -> Any:
        if isinstance(item, tuple) and not isinstance(item, Enum):
            self._enter(item, depth)
            return {"$tuple": [self._hashable(part, depth + 1) for part in item]}
        return self.value(item, depth)

    def _enter(self, value: Any, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise _Refused(f"is nested deeper than {MAX_DEPTH} levels, or contains itself")
        self._spend(len(value))

    def tagged(self, tag: str, text: str) -> dict[str, str]:
        self._spend(len(text))
        return {tag: text}

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _Refused(
                f"takes the payload past EVENTS_MAX_PAYLOAD_BYTES ({self._limit}): "
                "store it elsewhere and send its id"
            )


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise _Refused(f"is {value!r}, which JSON cannot say; send None or a Decimal")
    return value


def _enum(encoder: _Encoder, value: Enum, depth: int) -> Any:
    path = _enum_path(type(value))
    return {"$enum": [encoder.value(path, depth + 1), encoder._hashable(value.value, depth + 1)]}


@cache
def _enum_path(kind: type[Enum]) -> str:
    path = f"{kind.__module__}:{kind.__qualname__}"
    try:
        found = _find_enum(path)
    except EventPayloadError:
        found = None
    if found is not kind:
        raise _Refused(f"is of the Enum {path}, which a worker cannot import by that name")
    return path


def _time(encoder: _Encoder, value: time) -> dict[str, str]:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise _Refused("is a time whose zone has no fixed offset; send a datetime")
    return encoder.tagged("$time", value.isoformat())


def _model(encoder: _Encoder, value: Model, depth: int) -> Any:
    if value.pk is None:
        raise _Refused(f"is a {value._meta.label} that was never saved, so it has no key to send")
    try:
        ref = ModelRef.of(value)
    except Exception as error:
        label, kind = value._meta.label, type(error).__name__
        raise _Refused(f"is a {label} whose __str__ failed with {kind}") from error
    return _ref(encoder, ref, depth)


def _ref(encoder: _Encoder, value: ModelRef, depth: int) -> Any:
    parts = (value.model, value.pk, value.text)
    return {"$ref": [encoder.value(part, depth + 1) for part in parts]}


_Encode = Callable[[_Encoder, Any, int], Any]
# The order matters: an Enum may be a str, a datetime is a date, a bool is an int.
_ENCODERS: tuple[tuple[Any, _Encode], ...] = (
    (Enum, _enum),
    (Decimal, lambda encoder, value, _: encoder.tagged("$decimal", str(value))),
    (UUID, lambda encoder, value, _: encoder.tagged("$uuid", str(value))),
    (datetime, lambda encoder, value, _: encoder.tagged("$datetime", value.isoformat())),
    (date, lambda encoder, value, _: encoder.tagged("$date", value.isoformat())),
    (time, lambda encoder, value, _: _time(encoder, value)),
    (
        timedelta,
        lambda _, value, depth: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    ),
    (bytes, lambda encoder, value, _: encoder.tagged("$bytes", base64.b64encode(value).decode())),
    (set, lambda encoder, value, depth: {"$set": encoder.members(value, depth)}),
    (frozenset, lambda encoder, value, depth: {"$frozenset": encoder.members(value, depth)}),
    (ModelRef, _ref),
    (Model, _model),
    (Promise, lambda encoder, value, depth: encoder.value(_resolve(value), depth + 1)),
    (str, lambda encoder, value, depth: encoder.value(str.__str__(value), depth)),
    (int, lambda encoder, value, depth: encoder.value(int(value), depth)),
    (float, lambda _, value, depth: _finite(float(value))),
    (dict, lambda encoder, value, depth: encoder.mapping(value, depth)),
    (list | tuple, lambda encoder, value, depth: encoder.sequence(value, depth)),
)


def _resolve(value: Any) -> str:
    return str(value)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$decimal": Decimal,
    "$uuid": UUID,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$timedelta": lambda parts: timedelta(*parts),
    "$bytes": lambda text: base64.b64decode(text, validate=True),
    "$int": lambda text: int(text, 16),
    "$set": lambda items: set(map(_decode, items)),
    "$frozenset": lambda items: frozenset(map(_decode, items)),
    "$tuple": lambda items: tuple(map(_decode, items)),
    "$enum": lambda parts: _load_enum(parts[0], _decode(parts[1])),
    "$ref": lambda parts: ModelRef(parts[0], _decode(parts[1]), parts[2]),
}


def _decode(value: Any) -> Any:
    if type(value) is list:
        return [_decode(item) if type(item) in _NESTED else item for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        (key,) = value
        if key[:1] == "$" and key[:2] != "$$":
            if key not in _DECODERS:
                raise EventPayloadError(f"the stored payload has the unknown type tag {key!r}")
            return _DECODERS[key](value[key])
    return {
        (key[1:] if key[:1] == "$" else key): _decode(item) if type(item) in _NESTED else item
        for key, item in value.items()
    }


_NESTED = (dict, list)


def _load_enum(path: str, value: Any) -> Enum:
    return _find_enum(path)(value)


def _find_enum(path: str) -> type[Enum]:
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise EventPayloadError(f"the stored payload needs the Enum {path}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Enum)):
        raise EventPayloadError(f"the stored payload needs the Enum {path}, which is not one")
    return found


def _dump(plain: dict[str, Any]) -> bytes:
    try:
        blob = orjson.dumps(plain)
    except (TypeError, ValueError) as error:
        raise _explain(plain, str(error)) from error
    if b"\\u0000" in blob:
        for place, text in _texts(plain, []):
            if "\x00" in text:
                raise _at(place, "has a NUL character, which PostgreSQL cannot store; remove it")
    return blob


def _explain(plain: dict[str, Any], fallback: str) -> _Refused:
    for place, text in _texts(plain, []):
        if any("\ud800" <= character <= "\udfff" for character in text):
            return _at(place, "has a lone surrogate, which is not valid Unicode; remove it")
    return _Refused(f"cannot be written as JSON: {fallback}")


def _at(place: list[str], reason: str) -> _Refused:
    refused = _Refused(reason)
    refused.place = place[::-1]
    return refused


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _texts(value: Any, place: list[str]) -> Iterator[tuple[list[str], str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield [*place, key], key
            yield from _texts(item, [*place, key])
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, [*place, str(index)])
