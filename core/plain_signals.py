"""Plain Django signals that something is told by, without a word in what it does."""

from __future__ import annotations

import logging
from typing import Any

from django.dispatch import Signal

_log = logging.getLogger(__name__)


def tell(signal: Signal, sender: Any, **told: Any) -> None:
    """Send a signal; whatever its receivers do, who sends it goes on.

    A receiver that fails is logged. All of them are called at once, in an event loop too, so they
    must be synchronous and quick.
    """
    if not signal.receivers:
        return
    try:
        signal.send_robust(sender, **told)
    except Exception:
        # Django runs an asynchronous receiver in an event loop, and in a running one it cannot.
        _log.exception("A receiver could not be called; it must be synchronous")
