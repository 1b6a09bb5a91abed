"""What a field of a model can hold: checked before anything is written or asked."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.files import File
from django.core.validators import (
    DecimalValidator,
    MaxLengthValidator,
    MaxValueValidator,
    MinValueValidator,
)
from django.db import models

# What Django's fields raise for values that they cannot hold.
REFUSED_VALUES = (ValidationError, ValueError, TypeError, OverflowError)
_BOUNDS = (DecimalValidator, MaxLengthValidator, MaxValueValidator, MinValueValidator)
_COUNTS = (models.IntegerField, models.DecimalField, models.FloatField)
_NUMBERS = (*_COUNTS, models.UUIDField)
# Django says how long a name may be, but does not check it.
_PATHS = (models.FileField, models.FilePathField)
# Filters take these as they are, and fail in the database, each in its own way.
_CONVERTED = (models.BinaryField, models.DurationField, models.GenericIPAddressField)
# As JSON writes it, and not a backslash followed by "u0000".
_NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
# PostgreSQL refuses numbers from about 10**131072 on; no column here is near that.
_MOST_DIGITS = 1000
_MOST_BITS = 3322
_BYTES = (bytes, bytearray, memoryview)


@cache
def fields_by_name(model: type[models.Model]) -> dict[str, models.Field[Any, Any]]:
    """Return the fields with a column by name, by attribute name and by "pk"."""
    fields = {each: f for f in model._meta.concrete_fields for each in (f.name, f.attname)}
    return {**fields, "pk": model._meta.pk}


def is_key(field: Any, value: Any) -> bool:
    """Tell whether a value stands for a related row, and is not the row itself."""
    return field.is_relation and not isinstance(value, models.Model) and not is_expression(value)


def is_expression(value: Any) -> bool:
    """Tell whether the database computes this value."""
    return hasattr(value, "resolve_expression")


def is_uuid(field: Any) -> bool:
    """Tell whether the field holds UUIDs, be they those of related rows."""
    return isinstance(_target(field), models.UUIDField)


def could_be(field: Any, value: Any) -> bool:
    """Tell whether the field can hold this value."""
    try:
        refuse_shape(field, value)
        field.to_python(value)
    except REFUSED_VALUES:
        return False
    return True


def clean(field: Any, value: Any) -> Any:
    """Return the value in the type of the field. Raises one of REFUSED_VALUES."""
    if value is None or is_expression(value):
        return value
    if isinstance(value, models.Model):
        if not isinstance(value, field.related_model or ()) or value._state.adding:
            raise ValueError("it is no saved row of the model that the field refers to")
        return value
    refuse_shape(field, value)
    value = field.to_python(value)
    for validator in _target(field).validators:
        # Those that say what the column holds; the others are for forms and `full_clean()`.
        if isinstance(validator, _BOUNDS):
            validator(value)
    if isinstance(field, _PATHS) and isinstance(value, str):
        MaxLengthValidator(field.max_length)(value)
    return value


def asked(field: Any, value: Any) -> Any:
    """Return the value as a filter compares it. Raises one of REFUSED_VALUES."""
    refuse_shape(field, value)
    if isinstance(field, _CONVERTED) and not is_expression(value):
        return field.to_python(value)
    return value


def refuse_shape(field: Any, value: Any) -> None:
    """Raise ValueError for what Django would turn into something else, or let fail in the end."""
    field = _target(field)
    if value is None or is_expression(value):
        return
    if isinstance(value, int | float | Decimal):
        _refuse_number(field, value)
    if isinstance(field, models.JSONField):
        _refuse_json(json.dumps(value, cls=field.encoder, allow_nan=False, ensure_ascii=False))
    elif isinstance(value, list | tuple | set | frozenset | dict):
        raise ValueError("one value is needed")
    elif isinstance(value, str):
        _refuse_text(value)
    elif isinstance(value, bool) and isinstance(field, _NUMBERS):
        raise ValueError("True and False are no numbers and no keys")
    elif isinstance(value, UUID) and isinstance(field, _COUNTS):
        # Django would take it for a number of 39 digits.
        raise ValueError("a number is needed")
    elif isinstance(value, int) and isinstance(field, models.UUIDField):
        # Django would make one of its bits.
        raise ValueError("a UUID is needed")
    elif isinstance(field, models.BinaryField) and not isinstance(value, _BYTES):
        raise ValueError("bytes are needed")
    elif isinstance(field, models.FileField) and not isinstance(value, File):
        raise ValueError("a file or its name is needed")
    if isinstance(field, models.DecimalField):
        _refuse_digits(field.to_python(value))
    elif isinstance(field, models.GenericIPAddressField) and (text := str(value).strip()):
        for validator in field.default_validators:
            validator(text)


def _target(field: Any) -> Any:
    while field.is_relation:
        field = field.target_field
    return field


def _refuse_json(text: str) -> None:
    if _NUL_IN_JSON.search(text):
        raise ValueError("no database stores a NUL character")
    _refuse_text(text)


def _refuse_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError("no database stores a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("half a character (a lone surrogate) cannot be stored") from error


def _refuse_number(field: Any, value: int | float | Decimal) -> None:
    if isinstance(value, int):
        # Not as a Decimal, which takes seconds to make from a very long one.
        if value.bit_length() > _MOST_BITS:
            raise ValueError(f"a number of at most {_MOST_DIGITS} digits is needed")
        return
    _refuse_digits(Decimal(value))
    if isinstance(field, models.IntegerField) and value != int(value):
        raise ValueError("a whole number is needed")


def _refuse_digits(number: Decimal) -> None:
    if not number.is_finite():
        raise ValueError("a finite number is needed")
    if number and (
        abs(number.adjusted()) > _MOST_DIGITS or len(number.as_tuple().digits) > _MOST_DIGITS
    ):
        raise ValueError(f"a number of at most {_MOST_DIGITS} digits is needed")
