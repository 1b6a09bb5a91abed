"""Fills the texts of notifications: `{name}`, with a format such as `{amount:.2f}` if need be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from .errors import TemplateError


def render(text: str, values: Mapping[str, Any]) -> str:
    """Return the text with its variables filled in.

    Raises TemplateError for a variable that is missing or does not fit its format, so that nobody
    gets a half-filled message.
    """
    missing = sorted(fields_of(text) - values.keys())
    if missing:
        raise TemplateError(f"the text needs {', '.join(missing)}, which the event does not give")
    try:
        return _FORMATTER.vformat(text, (), values)
    except (ValueError, TypeError) as error:
        # The error of a format repeats the value, which may be nobody's business.
        raise TemplateError("a value does not fit its format in the text") from error


def fields_of(text: str) -> set[str]:
    """Return the names of the variables in a text. Raises TemplateError if it cannot be read."""
    try:
        parts = [part for part in Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise TemplateError(f"the text cannot be read: {error}") from error
    names = {str(name) for _, name, _, _ in parts}
    for name in names:
        if not name.isidentifier():
            raise TemplateError(f"{{{name}}} is not a plain name; use names such as {{amount}}")
    if any("{" in (spec or "") for _, _, spec, _ in parts):
        raise TemplateError("a format cannot have variables of its own")
    return names


class _PlainFormatter(Formatter):
    """Looks names up as they stand: no attributes, no items, no positions."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, str]:
        return kwargs[field_name], field_name


_FORMATTER = _PlainFormatter()
