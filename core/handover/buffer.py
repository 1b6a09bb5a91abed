"""The buffer: what waits in a process to be shipped, bounded, and counted without a gap."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records of a process: accepted is always the sum of the other three."""

    accepted: int = 0
    shipped: int = 0
    dropped: int = 0
    buffered: int = 0


class Buffer:
    """Records as JSON, first in first out; when it is full, the oldest go.

    A batch that is being shipped still belongs to the buffer, for the limits and for the counts,
    until it is settled or put back.
    """

    def __init__(self, *, records: int, size: int) -> None:
        self._most_records = records
        self._most_bytes = size
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._away: list[bytes] = []
        self._accepted = self._shipped = self._dropped = 0

    def append(self, record: bytes) -> None:
        """Take a record; drop the oldest ones if there is no room for it."""
        with self._lock:
            self._accepted += 1
            self._waiting.append(record)
            self._bytes += len(record)
            self._make_room()

    def refuse(self) -> None:
        """Count a record that cannot be shipped as accepted and dropped."""
        with self._lock:
            self._accepted += 1
            self._dropped += 1

    def take(self, *, records: int, size: int) -> list[bytes]:
        """Return the oldest records, so many and so many bytes at most, to be settled."""
        with self._lock:
            batch, total = self._away, 0
            while self._waiting and len(batch) < records:
                total += len(self._waiting[0])
                if batch and total > size:
                    break
                batch.append(self._waiting.popleft())
            return list(batch)

    def settle(self) -> None:
        """Count what was taken as shipped."""
        with self._lock:
            self._shipped += len(self._away)
            self._forget()

    def put_back(self) -> None:
        """Have what was taken wait again, in front."""
        with self._lock:
            self._waiting.extendleft(reversed(self._away))
            self._away = []
            self._make_room()

    def drop_all(self) -> int:
        """Drop what waits or is away; return how many records that were."""
        with self._lock:
            lost = len(self._waiting) + len(self._away)
            self._dropped += lost
            self._waiting.clear()
            self._forget()
            self._bytes = 0
            return lost

    def counts(self) -> Counts:
        """Return what became of the records so far."""
        with self._lock:
            buffered = len(self._waiting) + len(self._away)
            return Counts(self._accepted, self._shipped, self._dropped, buffered)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def _forget(self) -> None:
        self._bytes -= sum(map(len, self._away))
        self._away = []

    def _make_room(self) -> None:
        while self._waiting and (
            len(self._waiting) + len(self._away) > self._most_records
            or self._bytes > self._most_bytes
        ):
            self._bytes -= len(self._waiting.popleft())
            self._dropped += 1
