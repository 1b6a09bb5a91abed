"""Validators for the fields of models, forms and serializers.

Those with options are classes in lower case, since they are written like functions:
`validators=[validate_file_size(max_mb=5)]`. Two with equal options are equal, so that migrations
see no change where there is none.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from copy import deepcopy
from itertools import islice
from typing import Any

import nh3
from django.core.exceptions import ValidationError
from django.utils.deconstruct import deconstructible
from jsonschema.exceptions import ValidationError as Violation

from core.json_schema import Json, compiled

_MEGABYTE = 1024 * 1024
# Ends whatever tag, value or comment a text leaves open, as the page around it would.
_ENDS = ">'>\">-->"
_MAX_VIOLATIONS = 20
_MAX_MESSAGE = 200


@deconstructible
class validate_file_size:
    """Refuse a file of more than `max_mb` MiB (1024 * 1024 bytes)."""

    def __init__(self, max_mb: float = 5) -> None:
        """Raises TypeError or ValueError unless `max_mb` is a finite number above 0."""
        if isinstance(max_mb, bool) or not isinstance(max_mb, int | float):
            raise TypeError(f"max_mb must be a number, got {max_mb!r}")
        if not 0 < max_mb < math.inf:
            raise ValueError(f"max_mb must be finite and above 0, got {max_mb!r}")
        self.max_mb = max_mb

    def __call__(self, value: Any) -> None:
        """Raise `ValidationError` with the code `file_too_large` if the file is too large."""
        size = _size_of(value)
        if size > self.max_mb * _MEGABYTE:
            raise ValidationError(
                "The file has %(size)s bytes; at most %(max_mb)s MB are allowed.",
                code="file_too_large",
                params={"size": size, "max_mb": f"{self.max_mb:g}", "value": value},
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, validate_file_size) and self.max_mb == other.max_mb

    def __hash__(self) -> int:
        return hash((type(self), self.max_mb))


def _size_of(value: Any) -> int:
    try:
        size = value.size
    except (AttributeError, OSError, ValueError) as error:
        # What is not a file, and a file whose storage does not have it.
        raise ValidationError("This is not a readable file.", code="invalid") from error
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ValidationError("This is not a readable file.", code="invalid")
    return size


@deconstructible
class validate_file_extension:
    """Refuse a file whose name does not end in one of these extensions, in any case.

    The name says nothing about the content: never serve uploads in a way that trusts it.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        """Take extensions such as ".jpg", with or without the dot.

        Raises TypeError for a text or what is not a collection of texts, ValueError for none.
        """
        if isinstance(allowed, str) or not isinstance(allowed, Iterable):
            raise TypeError(f"allowed must be a list such as ['.jpg', '.png'], got {allowed!r}")
        self.allowed = sorted({_extension(item) for item in allowed})
        if not self.allowed:
            raise ValueError("allowed must name at least one extension, such as '.jpg'")

    def __call__(self, value: Any) -> None:
        """Raise `ValidationError` with the code `invalid_extension` if the name does not fit."""
        name = getattr(value, "name", value)
        if not isinstance(name, str) or not self._fits(name):
            raise ValidationError(
                "The file must end in one of: %(allowed)s.",
                code="invalid_extension",
                params={"allowed": ", ".join(self.allowed), "value": value},
            )

    def _fits(self, name: str) -> bool:
        base = name.replace("\\", "/").rpartition("/")[2].lower()
        # A name of nothing but an extension has none; one with a NUL ends there for some.
        return "\x00" not in base and any(
            base.endswith(extension) and base != extension for extension in self.allowed
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, validate_file_extension) and self.allowed == other.allowed

    def __hash__(self) -> int:
        return hash((type(self), *self.allowed))


def _extension(item: Any) -> str:
    if not isinstance(item, str):
        raise TypeError(f"an extension must be a text such as '.jpg', got {item!r}")
    bare = item.strip().lower().lstrip(".")
    if not bare or "/" in bare or "\\" in bare or "\x00" in bare:
        raise ValueError(f"an extension must be like '.jpg', got {item!r}")
    return f".{bare}"


def validate_no_html(value: Any) -> None:
    """Raise `ValidationError` with the code `html` for a text that a browser reads as markup.

    That is a tag, a comment or the like, also one that is left open, or hidden in entities. What
    only looks like it is allowed: `a < b`, `x <3 y`, `R&D`.
    """
    # Without what no page can have: NUL, and half a surrogate pair as JSON may bring it.
    text = str(value).replace("\x00", "").encode("utf-8", "replace").decode()
    if any(nh3.is_html(form + _ENDS) for form in (text, html.unescape(text))):
        raise ValidationError("HTML is not allowed here.", code="html", params={"value": value})


@deconstructible
class validate_json_schema:
    """Refuse JSON that does not conform to a JSON Schema.

    The draft is the one that `$schema` names, else 2020-12. References stay within the schema:
    nothing is ever fetched. `format` is a remark, as the standard has it, and not checked.
    """

    def __init__(self, schema: Json) -> None:
        """Check the schema itself. Raises TypeError or ValueError, with the place, if it is bad."""
        if not isinstance(schema, dict | bool):
            raise TypeError(f"a JSON Schema is a dict or a bool, got {schema!r}")
        self.schema = deepcopy(schema)
        self._validator = compiled(self.schema)

    def __call__(self, value: Any) -> None:
        """Raise `ValidationError`, with the code `json_schema`, for the first 20 faults.

        Each message begins with the place of the fault, such as `$.items[2].price`.
        """
        try:
            faults = list(islice(self._validator.iter_errors(value), _MAX_VIOLATIONS))
        except (RecursionError, ArithmeticError, TypeError, ValueError) as error:
            # Nested too deeply, a number beyond what can be calculated with, or not JSON.
            raise ValidationError("This cannot be checked.", code="json_schema") from error
        if faults:
            raise ValidationError([_fault(violation) for violation in faults])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, validate_json_schema) and self.schema == other.schema

    __hash__ = None  # type: ignore[assignment]  # a schema is a dict


def _fault(violation: Violation) -> ValidationError:
    message = violation.message
    if len(message) > _MAX_MESSAGE:
        # It repeats the value.
        message = f"{message[:_MAX_MESSAGE]}…"
    return ValidationError(
        "%(path)s: %(message)s",
        code="json_schema",
        params={"path": violation.json_path, "message": message, "keyword": violation.validator},
    )
