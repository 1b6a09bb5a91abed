"""What the foundation costs, measured in a driver's process."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from statistics import median

from django.db import transaction

from core.models import PlatformFeeConfig
from core.repositories import BaseRepository

from .shop.models import Announced, Bare

# Calls of one before it is the other's turn.
_TURN = 20
_FARE = Decimal("100.00")


def fee(*, times: int) -> float:
    """Return the seconds of a final price when the fee is in the process."""
    PlatformFeeConfig.calculate_final_price(_FARE)
    return _mean(lambda: PlatformFeeConfig.calculate_final_price(_FARE), times)


def lookup(*, times: int) -> dict[str, float]:
    """Return the seconds of finding a row by its key, by the repository and by the manager."""
    key = Announced.objects.create(name="found").pk
    repository = BaseRepository[Announced]()
    return _beside(
        times,
        signalbox=lambda: repository.get_by_id(key),
        orm=lambda: Announced.objects.get(pk=key),
    )


def save(*, times: int, begun: bool) -> dict[str, float]:
    """Return the seconds of saving a changed row, with and without life cycle events.

    With `begun`, each is in a transaction of its own that is there already, as in a request.
    """
    announced, bare = Announced.objects.create(name=""), Bare.objects.create(name="")

    def saving(row: Announced | Bare) -> Callable[[], None]:
        def work() -> None:
            row.name = str(time.perf_counter_ns())
            row.save()

        return _in_transaction(work) if begun else work

    return _beside(times, signalbox=saving(announced), django=saving(bare))


def create(*, times: int, begun: bool) -> dict[str, float]:
    """Return the seconds of saving a new row, with and without life cycle events, as `save`."""

    def creating(model: type[Announced | Bare]) -> Callable[[], None]:
        def work() -> None:
            model(name="new").save()

        return _in_transaction(work) if begun else work

    return _beside(times, signalbox=creating(Announced), django=creating(Bare))


def soft_delete(*, times: int) -> float:
    """Return the seconds that the slowest of so many soft deletions took."""
    rows = [Announced.objects.create(name=str(number)) for number in range(times)]
    return max(_mean(row.delete, 1) for row in rows)


def _beside(times: int, **works: Callable[[], object]) -> dict[str, float]:
    """Return the seconds of each, measured in turns."""
    turns: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(times // _TURN):
        for name, work in works.items():
            turns[name].append(_mean(work, _TURN))
    return {name: median(means) for name, means in turns.items()}


def _in_transaction(work: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        with transaction.atomic():
            work()

    return both


def _mean(work: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times
