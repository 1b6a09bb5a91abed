"""Analytics as a Django app."""

from importlib import import_module

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """Analytics by PostHog."""

    name = "workers.analytics"
    label = "signalbox_analytics"
    verbose_name = "Signalbox: analytics"

    def ready(self) -> None:
        """Register the check of the settings; measure requests."""
        import_module("workers.analytics.checks")
        from core.signals.user_activity import request_measured

        from .requests import measure

        request_measured.connect(measure, dispatch_uid="workers.analytics")
