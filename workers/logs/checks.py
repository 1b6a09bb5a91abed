"""Reports sinks that there are not."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register

from core.request_logs.conf import NONE, conf

from .sinks import SINKS


@register()
def check_sinks(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report each name in REQUEST_LOG_SINKS that is none of a sink."""
    return [
        Error(
            f"{name!r} is not a sink of request logs.",
            hint=_meant(name),
            obj="REQUEST_LOG_SINKS",
            id="signalbox_logs.E001",
        )
        for name in conf.sinks
        if name not in SINKS
    ]


def _meant(name: str) -> str:
    if name == NONE:
        return f"{NONE!r} stands alone: write the names of sinks, or {NONE!r}."
    close = get_close_matches(name, SINKS, n=1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return f"{meant}Use some of {', '.join(SINKS)}, or {NONE!r} alone."
