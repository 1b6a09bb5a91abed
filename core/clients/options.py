"""How long a call may take, how often it is tried and how much may come back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

from core.events.retry import Backoff

Timeout = float | tuple[float, float]

MEGABYTE = 1024 * 1024
LONGEST_BACKOFF = 8.0
# A day in seconds; sockets cannot be told much more.
LONGEST = 86_400.0
BACKOFF = Backoff(first=0.5, limit=LONGEST_BACKOFF)


@dataclass(frozen=True, slots=True)
class Options:
    """The limits of a call, in seconds and bytes.

    `timeout` is for one attempt, from connecting to the last byte. As (connect, read) it is for
    connecting, and for each silence of the service; the attempt may take their sum.
    `deadline` is for all attempts and the pauses between them; None leaves only the former.
    `backoff` is a Backoff, or the first pause in seconds, which then doubles.
    """

    timeout: Timeout = 5.0
    deadline: float | None = 30.0
    attempts: int = 3
    backoff: Backoff | float = BACKOFF
    max_response_bytes: int | None = 10 * MEGABYTE
    max_redirects: int = 5

    def __post_init__(self) -> None:
        two = isinstance(self.timeout, tuple) and len(self.timeout) == 2
        parts = self.timeout if two else (self.timeout,)
        if not all(map(_is_duration, parts)):  # type: ignore[arg-type]  # it is a tuple
            raise ValueError(
                f"timeout={self.timeout!r}: give seconds above 0, or (connect, read); a day at most"
            )
        if self.deadline is not None and not _is_duration(self.deadline):
            raise ValueError(
                f"deadline={self.deadline!r}: give seconds above 0, a day at most, or None"
            )
        _check_count("attempts", self.attempts, 1)
        _check_count("max_redirects", self.max_redirects, 0)
        if self.max_response_bytes is not None:
            _check_count("max_response_bytes", self.max_response_bytes, 1)
        if not isinstance(self.backoff, Backoff):
            if not _is_number(self.backoff) or not 0 <= self.backoff < math.inf:
                raise ValueError(f"backoff={self.backoff!r}: give a Backoff, or seconds from 0")
            backoff = Backoff(first=self.backoff, limit=max(self.backoff, LONGEST_BACKOFF))
            object.__setattr__(self, "backoff", backoff)

    def changed(self, changes: dict[str, Any]) -> Self:
        """Return these options with the changes that one call asks for."""
        return replace(self, **changes) if changes else self

    @property
    def connect_seconds(self) -> float:
        return self.timeout[0] if isinstance(self.timeout, tuple) else self.timeout

    @property
    def read_seconds(self) -> float:
        return self.timeout[1] if isinstance(self.timeout, tuple) else self.timeout

    @property
    def attempt_seconds(self) -> float:
        return sum(self.timeout) if isinstance(self.timeout, tuple) else self.timeout

    def pause(self, failures: int) -> float:
        """Return how long to wait after so many failures."""
        assert isinstance(self.backoff, Backoff)  # since __post_init__
        return self.backoff.delay(failures)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_duration(value: object) -> bool:
    return _is_number(value) and 0 < value <= LONGEST  # type: ignore[operator]  # it is a number


def _check_count(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r}: give a whole number of at least {least}")
