"""Warns of requests that are measured for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from .conf import conf


@register()
def check_requests(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn when requests are measured where events are delivered without workers."""
    is_inline = getattr(settings, "EVENTS_MODE", "celery") == "inline"
    if not (is_inline and conf.enabled and conf.request_sample_rate > 0):
        return []
    return [
        Warning(
            "EVENTS_MODE is 'inline', but only a worker sends measured requests to PostHog; "
            "without one they are all dropped.",
            hint="Set ANALYTICS_REQUEST_SAMPLE_RATE=0; events of people are sent all the same. "
            "Where a worker takes the queue 'analytics', silence this warning.",
            obj="ANALYTICS_REQUEST_SAMPLE_RATE",
            id="signalbox_analytics.W001",
        )
    ]
