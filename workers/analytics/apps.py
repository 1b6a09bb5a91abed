"""Analytics as a Django app."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """Analytics by PostHog."""

    name = "workers.analytics"
    label = "signalbox_analytics"
    verbose_name = "Signalbox: analytics"

    def ready(self) -> None:
        """Measure requests."""
        from core.signals.user_activity import request_measured

        from .requests import measure

        request_measured.connect(measure, dispatch_uid="workers.analytics")
