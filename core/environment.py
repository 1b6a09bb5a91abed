"""Reads environment variables into typed values and collects what is wrong with them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar
from urllib.parse import urlsplit

from core.exceptions import ConfigurationError

T = TypeVar("T")

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


@dataclass(frozen=True)
class Problem:
    """One environment variable that cannot be used: its name, what is wrong, the way out."""

    name: str
    message: str
    hint: str


class Environment:
    """Typed access to environment variables; an empty value counts as not set.

    A value that cannot be used gives the default and adds a `Problem`, so that one run reports all
    of them. Values of secrets are never repeated in a problem.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[Problem] = []
        self.names: set[str] = set()

    @classmethod
    def of_process(cls) -> Self:
        """Return a reader of this process's own variables."""
        return cls(os.environ)

    def require_valid(self) -> None:
        """Raise ConfigurationError, naming every variable that could not be used."""
        if self.problems:
            lines = "".join(f"\n  {p.name}: {p.message} {p.hint}" for p in self.problems)
            raise ConfigurationError(
                f"Environment variables that cannot be used:{lines}",
                details={p.name: p.message for p in self.problems},
            )

    def is_set(self, name: str) -> bool:
        """Tell whether the variable has a value that is not blank."""
        return bool(self._values.get(name, "").strip())

    def report(self, name: str, message: str, hint: str) -> None:
        """Remember that a variable cannot be used."""
        self.problems.append(Problem(name, message, hint))

    def text(self, name: str, default: str = "") -> str:
        """Return the value as it stands, without surrounding blanks."""
        self.names.add(name)
        return self._values.get(name, "").strip() or default

    def flag(self, name: str, default: bool) -> bool:
        """Return True for 1/true/yes/on and False for 0/false/no/off."""
        return self._convert(name, default, _flag, "Use one of on, off, true, false, 1, 0.")

    def integer(self, name: str, default: int, *, minimum: int = 0) -> int:
        """Return a whole number that is at least `minimum`."""
        return self._convert(
            name, default, lambda value: _at_least(int(value), minimum), _number_hint(minimum)
        )

    def seconds(self, name: str, default: float, *, minimum: float = 0) -> float:
        """Return a duration in seconds, fractions allowed, that is at least `minimum`."""
        return self._convert(
            name, default, lambda value: _at_least(float(value), minimum), _number_hint(minimum)
        )

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """Return a value that is one of `choices`, in any case."""
        value = self.text(name, default)
        by_lower = {choice.lower(): choice for choice in choices}
        if value.lower() in by_lower:
            return by_lower[value.lower()]
        close = difflib.get_close_matches(value.lower(), by_lower, n=1)
        meant = f"Did you mean {by_lower[close[0]]!r}? " if close else ""
        self.report(
            name, f"{value!r} is not a known value.", f"{meant}Use one of {', '.join(choices)}."
        )
        return default

    def words(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Return the comma-separated parts, without blanks and empty ones."""
        parts = [part.strip() for part in self.text(name).split(",")]
        return [part for part in parts if part] or list(default)

    def url(self, name: str, default: str, *, schemes: Sequence[str]) -> str:
        """Return a URL whose scheme is one of `schemes`; it may hold a password."""
        value = self.text(name, default)
        try:
            parts = urlsplit(value)
            usable = parts.scheme in schemes and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if usable or not value:
            return value
        self.report(name, "is not a usable URL.", f"It must begin with {_schemes(schemes)}.")
        return default

    def unknown(self) -> list[Problem]:
        """Return the variables that are set, never read, and spelt nearly like one that is."""
        found = []
        for name in sorted(set(self._values) - self.names):
            close = difflib.get_close_matches(name, self.names, n=1, cutoff=0.9)
            if close:
                found.append(Problem(name, "is not a known variable.", f"Meant: {close[0]}?"))
        return found

    def _convert(self, name: str, default: T, convert: Callable[[str], T], hint: str) -> T:
        self.names.add(name)
        if not self.is_set(name):
            return default
        value = self._values[name].strip()
        try:
            return convert(value)
        except ValueError:
            self.report(name, f"{value!r} cannot be used.", hint)
            return default


def _flag(value: str) -> bool:
    if value.lower() not in TRUE | FALSE:
        raise ValueError(value)
    return value.lower() in TRUE


def _at_least(number: T, minimum: float) -> T:
    if not minimum <= number < float("inf"):  # type: ignore[operator]  # int and float only
        raise ValueError(number)
    return number


def _number_hint(minimum: float) -> str:
    return f"Use a number that is at least {minimum}."


def _schemes(schemes: Sequence[str]) -> str:
    return " or ".join(f"{scheme}://" for scheme in schemes)
