"""What calls to other services announce: plain Django signals, for metrics and alarms.

To keep one as a durable event: `registry.adopt(circuit_changed, "circuit.changed", payload=...)`.
"""

from __future__ import annotations

import logging
from typing import Any

from django.dispatch import Signal

_log = logging.getLogger(__name__)

# Sent once per call, whatever its outcome, with: service (host and port), method, path, status
# (None without an answer), duration in seconds, attempts, outcome ("ok" or an error code).
external_call_finished = Signal()

# Sent with: origin ("https://host:port"), old and new (CircuitState).
circuit_changed = Signal()


def tell(signal: Signal, sender: Any, **told: Any) -> None:
    """Send a signal; whatever its receivers do, the call that is told of goes on."""
    if not signal.receivers:
        return
    try:
        signal.send_robust(sender, **told)
    except Exception:
        # Django runs an asynchronous receiver in an event loop, and in a running one it cannot.
        _log.exception("A receiver could not be called; those of calls must be synchronous")
