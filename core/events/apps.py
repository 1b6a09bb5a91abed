from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class EventsConfig(AppConfig):
    """The event engine; at start it finds the `signals` and `routes` modules of all apps."""

    name = "core.events"
    label = "signalbox_events"
    verbose_name = "Events"

    def ready(self) -> None:
        from core.events import checks, worker  # noqa: F401 - they register themselves

        autodiscover_modules("signals", "routes")
