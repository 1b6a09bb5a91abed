"""A time limit ends a handler that logs, wherever it comes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.events.errors import LeaseExpired
from core.events.interrupt import bounded
from core.logs.destinations import Destination
from core.logs.formatter import LineFormatter
from core.logs.interrupts import is_interruption


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger whose lines go to standard error."""
    logger = logging.getLogger("tests.interrupts")
    logger.propagate = False
    destination = Destination(label="it", factory="core.logs.destinations.Console")
    destination.setFormatter(LineFormatter(service="worker"))
    logger.addHandler(destination)
    yield logger
    logger.removeHandler(destination)


class Slow:
    """An object whose text takes long."""

    def __repr__(self) -> str:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            pass
        return "slow"


@pytest.mark.parametrize("place", ["argument", "field", "deep"])
def test_a_lease_ends_what_is_slow_to_log(log: logging.Logger, place: str) -> None:
    """An interruption is not taken for a failure of the value, nor of the destination."""
    fields: dict[str, Any] = {"field": {"thing": Slow()}, "deep": {"thing": {"a": [Slow()]}}}
    arguments = {"argument": Slow()}
    with pytest.raises(LeaseExpired, match="longer"), bounded(0.1):
        log.warning("%s", arguments.get(place, "x"), extra=fields.get(place, {}))
    (destination,) = [each for each in log.handlers if isinstance(each, Destination)]
    assert not destination.status.failing


def test_other_exceptions_are_none() -> None:
    """What a value raises by itself is a failure."""
    assert not is_interruption(ValueError("no"))


def log_for_ever(logger: logging.Logger) -> None:
    """Do nothing else."""
    while True:
        logger.warning("again")


def test_a_handler_that_only_logs_to_a_file_ends(tmp_path: Path) -> None:
    """Where the file's own code catches an interruption, it comes again."""
    logger = logging.getLogger("tests.interrupts.file")
    logger.propagate = False
    options = {"path": str(tmp_path / "x.log"), "max_bytes": 100_000, "backups": 2}
    destination = Destination(
        label="it", factory="core.logs.destinations.SharedFile", options=options
    )
    destination.setFormatter(LineFormatter(service="worker"))
    logger.addHandler(destination)
    try:
        with pytest.raises(LeaseExpired), bounded(0.1):
            log_for_ever(logger)
    finally:
        logger.removeHandler(destination)
        destination.close()
