"""What changed in a row, in values that an event can carry."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from django.db import models

from core.events.event import MASK
from core.redaction import is_secret

Changes = dict[str, list[Any]]

# A changed row must never be refused because its event would be too large, so all values of an
# event share what leaves room for four bytes per character below EVENTS_MAX_PAYLOAD_BYTES.
_TEXT_LENGTH = 2000
_TEXT_TOTAL = 40_000
_CONTAINERS = 50
_CARRIED = (bool, int, float, Decimal, UUID, datetime, date, time, timedelta)


@cache
def watched(model: type[models.Model]) -> dict[str, models.Field[Any, Any]]:
    """Return the fields whose changes are news, by attribute name."""
    excluded = set(getattr(model, "event_exclude", ()))
    return {
        field.attname: field
        for field in model._meta.concrete_fields
        if field.name not in excluded
        and not field.primary_key
        and not field.generated
        and not getattr(field, "auto_now", False)
    }


def snapshot(
    model: type[models.Model], names: Collection[str], values: Collection[Any]
) -> Collection[Any]:
    """Return the values of these attributes so that later changes in place do not reach them."""
    mutable = [name for name in _mutable(model) if name in names]
    if not mutable:
        return values
    copied, order = list(values), list(names)
    for name in mutable:
        index = order.index(name)
        copied[index] = deepcopy(copied[index])
    return copied


def current(instance: models.Model) -> dict[str, Any]:
    """Return what the instance holds now, by attribute name, without what is deferred."""
    held = instance.__dict__
    names = [name for name in _columns(type(instance)) if name in held]
    values = snapshot(type(instance), names, [held[name] for name in names])
    return dict(zip(names, values, strict=True))


def diff(model: type[models.Model], old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """Return {field: [old, new]} of the watched fields in `new` that differ from `old`.

    Both map attribute names to values; what `old` lacks counts as None.
    """
    changed = [
        (field, old.get(name), new[name])
        for name, field in watched(model).items()
        if name in new and not _same(field, old.get(name), new[name])
    ]
    return {
        field.name: [shown(model, field, value, len(changed)) for value in (before, after)]
        for field, before, after in changed
    }


def shown(
    model: type[models.Model], field: models.Field[Any, Any], value: Any, among: int = 1
) -> Any:
    """Return the value as an event carries it: plain, masked if secret, clipped if long."""
    if value is None:
        return None
    if is_secret(field.name) or field.name in getattr(model, "event_masked", ()):
        return MASK
    room = min(_TEXT_LENGTH, _TEXT_TOTAL // (2 * among))
    if isinstance(field, models.JSONField):
        return _json(field, value, room)
    return _plain(_canonical(field, value), room)


@cache
def _columns(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


@cache
def _mutable(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(
        field.attname
        for field in model._meta.concrete_fields
        if isinstance(field, models.JSONField)
        or not type(field).__module__.startswith("django.db.models.")
    )


def _same(field: models.Field[Any, Any], old: Any, new: Any) -> bool:
    if old is None or new is None:
        return old is new
    if type(old) is type(new) and old == new:
        return True
    return bool(_canonical(field, old) == _canonical(field, new))


def _canonical(field: models.Field[Any, Any], value: Any) -> Any:
    """Return the value as it comes back from the database."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(field, models.JSONField):
        return json.loads(json.dumps(value, cls=field.encoder))
    if isinstance(field, models.FileField):
        return str(getattr(value, "name", value) or "")
    return field.to_python(value)


def _plain(value: Any, room: int) -> Any:
    if isinstance(value, str):
        return plain_text(str(value), room)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value) if len(value) <= room // 2 else f"[{len(value)} bytes]"
    if isinstance(value, _CARRIED) and not (isinstance(value, float) and not math.isfinite(value)):
        return value
    return None if value is None else plain_text(str(value), room)


def _json(field: models.JSONField[Any, Any], value: Any, room: int) -> Any:
    text = json.dumps(value, cls=field.encoder, ensure_ascii=False)
    # What an event cannot carry as JSON (long, deep, NUL or half a character) it carries as text.
    containers = text.count("[") + text.count("{")
    if len(text) > room or containers > _CONTAINERS or not _is_carried(text):
        return plain_text(text, room)
    return json.loads(text)


def _is_carried(text: str) -> bool:
    try:
        orjson.loads(text.encode())
    except ValueError:
        return False
    return "\\u0000" not in text


def plain_text(value: str, room: int) -> str:
    """Return the text without what no database stores, clipped to `room` characters."""
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    if "\x00" in value:
        value = value.replace("\x00", "\ufffd")
    return value if len(value) <= room else f"{value[:room]}… [{len(value)} characters]"


def names_of(model: type[models.Model], fields: Iterable[str]) -> set[str]:
    """Return the attribute names of fields given by name or attribute name."""
    wanted = set(fields)
    return {f.attname for f in model._meta.concrete_fields if {f.name, f.attname} & wanted}
