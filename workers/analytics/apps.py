"""Analytics as a Django app."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """Analytics by PostHog."""

    name = "workers.analytics"
    label = "signalbox_analytics"
    verbose_name = "Signalbox: analytics"
