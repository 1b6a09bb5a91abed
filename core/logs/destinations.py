"""Destinations: where lines go; one that fails is left out for a while, and nobody has to wait."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

from concurrent_log_handler import ConcurrentRotatingFileHandler
from django.utils.module_loading import import_string
from portalocker import LOCK_EX, LOCK_NB, LockException, lock

from core.logs.interrupts import is_interruption
from core.logs.lines import ascii_only

_logger = logging.getLogger("core.logs")

# Seconds that a destination is left out after a failure, and that a file may be held by others.
RETRY_SECONDS = 5.0
LOCK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """How a destination is: whether it fails, and how many lines it has missed so far."""

    name: str
    failing: bool
    lost: int


class Destination(logging.Handler):
    """Hands records to a handler that it makes when it needs one, and outlives its failures.

    `factory` is a handler's class, or its dotted path, and `options` its arguments. When the
    handler cannot be made or fails, the record is counted as lost, one warning goes to the other
    destinations, and after `retry_seconds` it is tried again.
    """

    def __init__(
        self,
        *,
        label: str,
        factory: Any,
        options: Mapping[str, Any] | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        super().__init__()
        self.label, self._factory, self._options = label, factory, dict(options or {})
        self._retry_seconds = retry_seconds
        self._inner: logging.Handler | None = None
        self._again_at = 0.0
        self._busy = False
        self._failing = False
        self._lost = 0
        _destinations.add(self)

    @property
    def status(self) -> DestinationStatus:
        """How the destination is."""
        return DestinationStatus(self.label, self._failing, self._lost)

    def handle(self, record: logging.LogRecord) -> bool:
        """Hand a record on; never raises."""
        passed = self.filter(record)
        if passed:
            with self.lock or contextlib.nullcontext():
                # A handler that logs itself would go round for ever.
                news = None if self._busy else self._hand_over(record)
            # Outside the lock: two destinations that fail at once would wait for each other.
            if news:
                _logger.warning(*news)
        return bool(passed)

    def close(self) -> None:
        """Close the handler."""
        self._drop()
        super().close()

    def flush(self) -> None:
        """Have the handler write what it holds."""
        if self._inner is not None:
            with contextlib.suppress(OSError, ValueError):
                self._inner.flush()

    def start_afresh(self) -> None:
        """Leave the handler to another process, whose thread is using it."""
        self._busy = False
        if self._inner is not None:
            # Kept: to throw it away would write what it holds, a second time.
            _abandoned.append(self._inner)
            self._inner = None

    def _hand_over(self, record: logging.LogRecord) -> tuple[Any, ...] | None:
        """Hand a record on; return what is to be told about the destination, if anything."""
        if self._failing and time.monotonic() < self._again_at:
            self._lost += 1
            return None
        self._busy = True
        try:
            self._handler().handle(record)
        except Exception as error:
            if is_interruption(error):
                raise
            return self._failed(error)
        finally:
            self._busy = False
        return self._back() if self._failing else None

    def _handler(self) -> logging.Handler:
        if self._inner is None:
            make = import_string(self._factory) if type(self._factory) is str else self._factory
            self._inner = make(**self._options)
            self._inner.setFormatter(self.formatter)
            self._inner.handleError = _raise  # type: ignore[method-assign]  # else it prints
        return self._inner

    def _failed(self, error: Exception) -> tuple[Any, ...] | None:
        self._lost += 1
        self._again_at = time.monotonic() + self._retry_seconds
        self._drop()
        if self._failing:
            return None
        self._failing = True
        text = "the log destination %s is not available, its lines are left out: %s: %s"
        return text, self.label, type(error).__name__, error

    def _back(self) -> tuple[Any, ...]:
        self._failing = False
        text = "the log destination %s is available again; lines lost so far: %d"
        return text, self.label, self._lost

    def _drop(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            # What a full disk did not take, it does not take now either.
            with contextlib.suppress(OSError, ValueError):
                inner.close()


_destinations: WeakSet[Destination] = WeakSet()
_abandoned: list[logging.Handler] = []


def destinations() -> list[DestinationStatus]:
    """Return how each destination of this process is."""
    return sorted((each.status for each in _destinations), key=lambda status: status.name)


_held: list[Any] = []


def _before_fork() -> None:
    """Wait until no thread is writing: a child would find the line half written, for ever."""
    for each in list(_destinations):
        if each.lock is not None and each.lock.acquire(timeout=LOCK_SECONDS):
            _held.append(each.lock)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    # `logging` has made the locks anew.
    free = [id(lock) for lock in _held]
    _held.clear()
    for each in list(_destinations):
        if id(each.lock) not in free:
            each.start_afresh()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)


def _raise(record: logging.LogRecord) -> None:
    raise  # called while a handler's exception is being handled


class Console(logging.Handler):
    """Writes to what is standard error at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line at once, so that those of several processes do not mix."""
        try:
            line, stream = self.format(record), sys.stderr
            if (getattr(stream, "encoding", None) or "").lower() not in ("utf-8", "utf8"):
                line = ascii_only(line)
            stream.write(f"{line}\n")
            stream.flush()
        except Exception:
            self.handleError(record)


class SharedFile(ConcurrentRotatingFileHandler):
    """A file that several processes write to and rotate; its directory is made when missing.

    A process that is held up while it has the file's lock holds the others up for a second at most.
    """

    def __init__(self, *, path: str, max_bytes: int, backups: int) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")
        self.maxLockAttempts = 1

    def do_open(self, mode: str | None = None) -> Any:
        """Open the file; end the line that a full disk cut off, so that it spoils no other."""
        with contextlib.suppress(OSError), open(self.baseFilename, "rb+") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
                file.write(b"\n")
        return super().do_open(mode)

    def _lock_stream_lock(self, stream_lock: Any) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return lock(stream_lock, LOCK_EX | LOCK_NB)
            except LockException:
                if time.monotonic() > deadline:
                    raise
                # The system can wait for a file's lock, but not for so many seconds only.
                time.sleep(0.0005)
