"""The arguments of a message (`logger.info("%s", argument)`), with their secrets redacted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.logs.values import is_secret_key, is_secret_pair, named_values
from core.redaction import REDACTED, is_secret

_PLAIN = (str, int, float, type(None))


def redacted_arguments(args: Any) -> Any:
    """Return what a record's `args` are, without the secrets in containers and data classes."""
    if isinstance(args, Mapping):
        return _redacted(args, ())
    return tuple(arg if isinstance(arg, _PLAIN) else _redacted(arg, ()) for arg in args)


def _redacted(value: Any, within: tuple[int, ...]) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if id(value) in within:
        return "…"
    within = (*within, id(value))
    if isinstance(value, Mapping):
        return {
            key: REDACTED if is_secret_key(key) else _redacted(item, within)
            for key, item in value.items()
        }
    if is_secret_pair(value) and type(value) in (list, tuple):
        return type(value)((value[0], REDACTED))
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_redacted(item, within) for item in value) if value else value
    return _object(value, within)


def _object(value: Any, within: tuple[int, ...]) -> Any:
    """Return an object as it is, or a text like its repr if it has fields that are secrets."""
    named = named_values(value)
    if not named or not any(is_secret(name) for name, _ in named):
        return value
    shown = (
        f"{name}={REDACTED if is_secret(name) else repr(_redacted(item, within))}"
        for name, item in named
    )
    return f"{type(value).__name__}({', '.join(shown)})"
