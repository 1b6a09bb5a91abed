"""When a delivery is tried again, and what a handler may raise to say what became of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from core.events.errors import InvalidRoute

JITTERS = ("full", "none")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing pauses between the attempts of a delivery, in seconds.

    The pause after failure n is `first * factor ** (n - 1)`, at most `limit`; with full jitter it
    is drawn evenly from 0 to that (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """

    first: float = 1
    factor: float = 2
    limit: float = 600
    jitter: str = "full"

    def __post_init__(self) -> None:
        for name in ("first", "factor", "limit"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise InvalidRoute(f"Backoff({name}={value!r}): it must be a number of at least 0")
        if self.factor < 1:
            raise InvalidRoute(f"Backoff(factor={self.factor!r}): it must be at least 1")
        if self.jitter not in JITTERS:
            raise InvalidRoute(f"Backoff(jitter={self.jitter!r}): choose one of {JITTERS}")

    def delay(self, failures: int) -> float:
        """Return the pause in seconds after this many failures (from 1)."""
        # Powers past this bound overflow a float and are over any sensible limit.
        exponent = min(max(failures, 1) - 1, 512 if self.factor < 4 else 64)
        longest = min(self.limit, self.first * self.factor**exponent)
        return random.uniform(0, longest) if self.jitter == "full" else longest


class Outcome(Exception):
    """What a handler raises to say what became of an event."""


class Retry(Outcome):
    """Handle this again later; it is not a failure.

    `after` is in seconds or a timedelta; without it the route's backoff decides.
    """

    def __init__(self, after: float | timedelta | None = None) -> None:
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        if seconds is not None and not _is_pause(seconds):
            raise ValueError(f"Retry(after={after!r}): it must be from 0 seconds to ten years")
        self.after = seconds
        super().__init__("again" if seconds is None else f"again in {seconds:g} s")


def _is_pause(seconds: object) -> bool:
    return isinstance(seconds, int | float) and 0 <= seconds < 10 * 365 * 86400


class Discard(Outcome):
    """Settle this without effect; `reason` is kept."""

    def __init__(self, reason: str = "") -> None:
        self.reason = str(reason)
        super().__init__(self.reason)


class PartialFailure(Outcome):
    """Some events of a batch failed; the rest are done.

    `errors` maps the id of each failed event to its error (an exception or a text). Raises
    TypeError or ValueError when it is not that, or empty: then there is nothing to raise.
    """

    def __init__(self, errors: Mapping[UUID | str, Any]) -> None:
        if not isinstance(errors, Mapping):
            raise TypeError(f"PartialFailure({errors!r:.80}): give {{event.id: error}}")
        if not errors:
            raise ValueError(
                "PartialFailure({}): no event failed; return from the handler instead of raising"
            )
        self.errors = {_event_id(event_id): error for event_id, error in errors.items()}
        super().__init__(f"{len(self.errors)} events failed")


def _event_id(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise ValueError(
            f"PartialFailure: {value!r} is not the id of an event; give {{event.id: error}}"
        ) from None
