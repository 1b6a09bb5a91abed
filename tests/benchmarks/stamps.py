"""Who did which effect when: every side's workers append to one file, whose path they are given.

A record is the number of an order, that of the effect and CLOCK_MONOTONIC, which all processes of a
machine share. Each call writes its records with one write() in append mode, which is atomic, so
knowing when the work is done costs no side a query.
"""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

RECORD = struct.Struct("=QBd")
EFFECTS = ("audit", "notification", "analytics", "cache")
PLAIN = len(EFFECTS)  # the effect of the routes that do nothing else


class Stamps:
    """Reads what the workers of a side wrote since the last `clear`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def clear(self) -> None:
        """Forget everything; the workers go on at the beginning of the file."""
        os.truncate(self.path, 0)

    def count(self) -> int:
        """Return how many records there are."""
        return self.path.stat().st_size // RECORD.size

    def last(self) -> float:
        """Return when the last effect happened."""
        return max(at for _, _, at in self._records())

    def finished(self) -> dict[int, float]:
        """Return for each event when the last of its effects happened."""
        latest: dict[int, float] = defaultdict(float)
        for event, _, at in self._records():
            latest[event] = max(latest[event], at)
        return latest

    def _records(self) -> Iterable[tuple[int, int, float]]:
        return RECORD.iter_unpack(self.path.read_bytes())
