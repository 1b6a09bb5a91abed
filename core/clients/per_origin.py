"""What the process knows about each origin that it calls."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# Addresses that users give must not fill the memory; who is forgotten begins anew.
MOST = 10_000


class PerOrigin(Generic[T]):
    """One object per origin ("https://host:port"), made when it is first asked for."""

    def __init__(self, make: Callable[[str], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._known: dict[str, T] = {}
        os.register_at_fork(after_in_child=self._after_fork)

    def of(self, origin: str) -> T:
        """Return the object of an origin."""
        found = self._known.get(origin)
        return found if found is not None else self._added(origin)

    def all(self) -> dict[str, T]:
        """Return all of them, by origin."""
        with self._lock:
            return dict(sorted(self._known.items()))

    def reset(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._known.clear()

    def _after_fork(self) -> None:
        # Locks may be held, and attempts under way, by threads that the child does not have.
        self._lock = threading.Lock()
        self._known = {}

    def _added(self, origin: str) -> T:
        with self._lock:
            if len(self._known) >= MOST:
                for oldest in list(self._known)[: MOST // 10]:
                    del self._known[oldest]
            return self._known.setdefault(origin, self._make(origin))
