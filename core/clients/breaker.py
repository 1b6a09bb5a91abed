"""Circuit breakers, one per origin and shared by the process: what is down is left alone.

After M. Nygard, "Release It!": closed until failures in a row open it; open for some seconds; then
half open, in which one call at a time may try, whose outcome closes or opens it again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from core.clients.per_origin import PerOrigin
from core.clients.signals import circuit_changed
from core.exceptions import CircuitOpenError
from core.plain_signals import tell

logger = logging.getLogger(__name__)

FAILURES = 5
OPEN_SECONDS = 10.0


class CircuitState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Trial:
    """One attempt under a circuit; without a verdict it counts for nothing."""

    ok: bool | None = None


class Circuit:
    """The circuit of one origin."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_at = 0.0
        self._state = CircuitState.CLOSED
        self._probing = False

    @property
    def state(self) -> CircuitState:
        """The state; an open circuit whose time is over is half open."""
        if self._state is CircuitState.OPEN and self._left() <= 0:
            return CircuitState.HALF_OPEN
        return self._state

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        """Let an attempt pass and learn from its verdict. Raises CircuitOpenError if it is open."""
        before = self._enter()
        trial = Trial()
        try:
            if before is not None:
                self._tell(before)
            yield trial
        finally:
            self._leave(trial.ok, probe=before is not None)

    def _left(self) -> float:
        return self._opened_at + OPEN_SECONDS - time.monotonic()

    def _enter(self) -> CircuitState | None:
        """Return the state of before for a probe, None where all may pass."""
        if self._state is CircuitState.CLOSED:
            return None
        with self._lock:
            state = self.state
            if state is CircuitState.CLOSED:
                return None
            if state is CircuitState.OPEN or self._probing:
                raise CircuitOpenError(
                    f"{self.origin} has failed {self._failures} times in a row and is left alone",
                    details={
                        "service": self.origin,
                        "retry_after": max(1, round(self._left())),
                    },
                )
            self._probing = True
            old, self._state = self._state, CircuitState.HALF_OPEN
            return old

    def _leave(self, ok: bool | None, probe: bool) -> None:
        if ok and not probe and not self._failures:
            return
        with self._lock:
            if probe:
                self._probing = False
            if ok is None:
                return
            if not probe and self._state is not CircuitState.CLOSED:
                # It began before the circuit opened; now only a probe decides.
                return
            self._failures = 0 if ok else self._failures + 1
            old = self._state
            if ok:
                self._state = CircuitState.CLOSED
            elif probe or self._failures >= FAILURES:
                self._state = CircuitState.OPEN
                self._opened_at = time.monotonic()
        self._tell(old)

    def _tell(self, old: CircuitState) -> None:
        new = self._state
        if old is not new:
            level = logging.WARNING if new is CircuitState.OPEN else logging.INFO
            logger.log(level, "the circuit of %s is %s, it was %s", self.origin, new, old)
            tell(circuit_changed, Circuit, origin=self.origin, old=old, new=new)


class Circuits(PerOrigin[Circuit]):
    """The circuits of this process, by origin; `reset()` closes all, as after a known repair."""

    def states(self) -> dict[str, CircuitState]:
        """Return the state of every origin that was called."""
        return {origin: circuit.state for origin, circuit in self.all().items()}


circuits = Circuits(Circuit)
