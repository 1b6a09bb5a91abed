"""Logging of what crosses the system's border."""

from __future__ import annotations

import logging

_calls = logging.getLogger("signalbox.external")


def log_external_service_call(
    *,
    service: str,
    method: str,
    path: str,
    status: int | None,
    duration: float,
    attempts: int,
    outcome: str,
) -> None:
    """Log one call to another service: INFO if it went well, WARNING if not."""
    _calls.log(
        logging.INFO if outcome == "ok" else logging.WARNING,
        "external call service=%s method=%s path=%s status=%s duration_ms=%.1f attempts=%d "
        "outcome=%s",
        service,
        method,
        path,
        "-" if status is None else status,
        duration * 1000,
        attempts,
        outcome,
    )
