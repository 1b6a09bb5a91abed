"""Reads environment variables into typed values and collects what is wrong with them."""

import difflib
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import environ

T = TypeVar("T")

BASE_DIR = Path(__file__).resolve().parent.parent.parent
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


def local_secret(path: Path, size: int = 50) -> str:
    """Return the secret kept in a private file, creating it on first use.

    Several processes may start at once: the file appears complete by a link, so all read one value.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent)
        with open(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(size))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    return path.read_text()


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


ENV_FILE = Path(os.environ.get("ENV_FILE") or BASE_DIR / ".env")
if ENV_FILE.is_file():
    environ.Env.read_env(ENV_FILE)
env = Environment(os.environ)
env.text("ENV_FILE")
problems = env.problems
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var"))).absolute()
