"""A retry budget per origin: an outage is not multiplied by everybody's retries.

After Finagle's RetryBudget: each call adds a fifth of a retry, each retry takes one.
"""

from __future__ import annotations

import threading

from core.clients.per_origin import PerOrigin

RESERVE = 10.0
PER_CALL = 0.2


class RetryBudget:
    """How many retries an origin may still be sent."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._lock = threading.Lock()
        self._balance = RESERVE

    def called(self) -> None:
        """Note a call."""
        with self._lock:
            self._balance = min(RESERVE, self._balance + PER_CALL)

    def take(self) -> bool:
        """Tell whether there may be a retry, and count it."""
        with self._lock:
            if self._balance < 1:
                return False
            self._balance -= 1
            return True


budgets = PerOrigin(RetryBudget)
