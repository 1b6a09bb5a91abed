"""What analytics reads from the settings."""

from __future__ import annotations

from django.conf import settings


class AnalyticsSettings:
    """Typed access to the settings of PostHog."""

    @property
    def enabled(self) -> bool:
        """Whether there is a project to send to."""
        return bool(self.api_key)

    @property
    def api_key(self) -> str:
        return str(getattr(settings, "POSTHOG_API_KEY", ""))

    @property
    def host(self) -> str:
        return str(getattr(settings, "POSTHOG_HOST", "https://eu.i.posthog.com"))

    @property
    def timeout(self) -> float:
        """Seconds that PostHog may take to connect, and again to answer."""
        return float(getattr(settings, "POSTHOG_TIMEOUT_SECONDS", 5))

    @property
    def pseudonym_secret(self) -> str:
        """The key of the pseudonyms; with another one everybody becomes somebody else."""
        return str(getattr(settings, "ANALYTICS_PSEUDONYM_SECRET", "") or settings.SECRET_KEY)

    @property
    def request_sample_rate(self) -> float:
        """The share of requests that is sent, from 0 to 1."""
        return float(getattr(settings, "ANALYTICS_REQUEST_SAMPLE_RATE", 1.0))


conf = AnalyticsSettings()
