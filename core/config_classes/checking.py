"""Says which fields of a config cannot be meant so, all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.exceptions import ConfigurationError

Check = Callable[[Any], bool]
Rules = dict[str, tuple[Check, str]]


def require(config: object, rules: Rules) -> None:
    """Raise ConfigurationError naming each field whose value breaks its rule.

    A rule is a test and what the value must be. Values of fields that are left out of `repr` may
    be secrets, so they are not repeated.
    """
    wrong = {
        name: f"must be {wanted}{_got(config, name)}"
        for name, (is_right, wanted) in rules.items()
        if not is_right(getattr(config, name))
    }
    if wrong:
        lines = "; ".join(f"{name} {text}" for name, text in wrong.items())
        raise ConfigurationError(f"{type(config).__name__}: {lines}", details=wrong)


def _got(config: Any, name: str) -> str:
    is_shown = config.__dataclass_fields__[name].repr
    return f", got {getattr(config, name)!r}" if is_shown else ""


def is_text(value: Any) -> bool:
    """Tell whether this is a text, maybe an empty one, without NUL."""
    return isinstance(value, str) and "\x00" not in value


def is_name(value: Any) -> bool:
    """Tell whether this is a text that says something."""
    return is_text(value) and bool(value.strip())


def is_flag(value: Any) -> bool:
    """Tell whether this is True or False."""
    return isinstance(value, bool)


def is_whole(value: Any, least: int, most: float = float("inf")) -> bool:
    """Tell whether this is a whole number within bounds."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_texts(value: Any) -> bool:
    """Tell whether this is a tuple of texts that say something."""
    return isinstance(value, tuple) and all(map(is_name, value))
