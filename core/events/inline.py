"""EVENTS_MODE="inline": the firing process delivers after its commit, without Celery."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from uuid import UUID

from core.events import delivery
from core.events.routing import routing
from core.events.store import Scope

logger = logging.getLogger(__name__)


class _Pending(threading.local):
    def __init__(self) -> None:
        self.busy = False
        self.events: list[UUID] = []


_pending = _Pending()


def deliver(events: Sequence[UUID]) -> None:
    """Deliver these events here and now; their errors are logged and never reach the caller.

    What a handler fires is delivered after it, by the same loop, not inside it. Anything that
    fails waits for `manage.py events work`.
    """
    _pending.events += events
    if _pending.busy:
        return
    _pending.busy = True
    try:
        while _pending.events:
            batch, _pending.events = _pending.events, []
            _deliver(batch)
    except Exception:
        logger.exception("inline delivery failed; `manage.py events work` takes over")
    finally:
        _pending.busy = False
        _pending.events = []


def _deliver(events: Sequence[UUID]) -> None:
    """Run what these events have due, a claim at a time, each delivery once."""
    handled: list[int] = []
    while True:
        scope = Scope(events=events, exclude=tuple(handled))
        round_ = delivery.run_round(list(routing), scope=scope)
        if not round_.taken:
            return
        handled += round_.returned
