"""What a process remembers of the platform fee for a moment, so that reading it costs no I/O."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core.fee.terms import Terms

SETTING = "PLATFORM_FEE_PROCESS_SECONDS"
DEFAULT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """When somebody began to look the fee up; what it finds is no older than this."""

    generation: object
    began: float


@dataclass(frozen=True, slots=True)
class Known:
    """The row in force, and what sums need of it."""

    row: dict[str, Any]
    terms: Terms


@dataclass(frozen=True, slots=True)
class _Held:
    known: Known
    generation: object
    until: float


class FeeMemory:
    """One value for all threads of the process.

    Without locks, so that a fork cannot inherit one that is held: what was looked up before `drop`
    carries another generation, and so is never given out after it.
    """

    def __init__(self) -> None:
        self._generation = object()
        self._held: _Held | None = None

    def get(self) -> Known | None:
        """Return the fee if it is remembered and still good."""
        held = self._held
        if (
            held is not None
            and held.generation is self._generation
            and time.monotonic() < held.until
        ):
            return held.known
        return None

    def ticket(self) -> Ticket:
        """Return what `put` needs; take it before looking the fee up."""
        return Ticket(self._generation, time.monotonic())

    def put(self, known: Known, ticket: Ticket, *, seconds: float) -> None:
        """Remember the fee, for at most so many seconds since the ticket was taken."""
        until = ticket.began + min(seconds, process_seconds())
        self._held = _Held(known, ticket.generation, until)

    def drop(self) -> None:
        """Forget the fee; nor is what anybody is looking up just now remembered."""
        self._generation = object()


memory = FeeMemory()


def process_seconds() -> float:
    """Return for how long a process may go on with the fee that it has read; 0: not at all."""
    seconds: float = getattr(settings, SETTING, DEFAULT_SECONDS)
    return seconds


@register()
def check_process_seconds(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Report a setting that is not a number of seconds."""
    value: object = getattr(settings, SETTING, DEFAULT_SECONDS)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return []
    message = f"{SETTING} is {value!r}; it must be a number of seconds that is at least 0."
    return [Error(message, hint="Leave it out for 1 second.", id="core.E001")]
