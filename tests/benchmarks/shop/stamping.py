"""Writing stamps: see `tests.benchmarks.stamps`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from django.db import transaction

from core.events import Event
from tests.benchmarks.stamps import RECORD


def stamp(effect: int, events: Iterable[Event]) -> None:
    """Note that these events have had this effect, now."""
    now = time.monotonic()
    records = [RECORD.pack(number(event.data), effect, now) for event in events]
    os.write(_file(), b"".join(records))


def number(data: Mapping[str, Any]) -> int:
    """Return the number of the order that a payload is about."""
    return int(data["order_id"].removeprefix("order-"))


def stamped(effect: int, handler: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a handler that does what the given one does and stamps it once it is committed."""

    def call(given: Any) -> None:
        handler(given)
        events = given if isinstance(given, list) else [given]
        transaction.on_commit(lambda: stamp(effect, events))

    return call


@cache
def _file() -> int:
    return os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
