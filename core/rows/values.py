"""What a field of a model can hold: checked before anything is written or asked."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

from django.core.exceptions import ValidationError
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
    while field.is_relation:
        field = field.target_field
    return isinstance(field, models.UUIDField)


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
    for validator in field.validators:
        # Those that say what the column holds; the others are for forms and `full_clean()`.
        if isinstance(validator, _BOUNDS):
            validator(value)
    return value


def refuse_shape(field: Any, value: Any) -> None:
    """Raise ValueError for what Django would turn into something else, or let fail in the end."""
    if isinstance(field, models.JSONField):
        json.dumps(value, cls=field.encoder, allow_nan=False)
    elif isinstance(value, list | tuple | set | frozenset | dict):
        raise ValueError("one value is needed")
    elif isinstance(value, str) and "\x00" in value:
        raise ValueError("no database stores a NUL character")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number is needed")
    elif isinstance(value, float) and isinstance(field, models.IntegerField) and value % 1:
        raise ValueError("a whole number is needed")
