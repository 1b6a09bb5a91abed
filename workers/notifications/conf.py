"""What notifications read from the settings, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

TWILIO = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM_NUMBER")


class NotificationSettings:
    """Typed access to the settings of the providers."""

    @property
    def twilio_account_sid(self) -> str:
        return _text("TWILIO_ACCOUNT_SID")

    @property
    def twilio_auth_token(self) -> str:
        return _text("TWILIO_AUTH_TOKEN")

    @property
    def twilio_from_number(self) -> str:
        return _text("TWILIO_FROM_NUMBER")

    @property
    def twilio_base_url(self) -> str:
        """Where Twilio's API is, when it is not at Twilio."""
        return _text("TWILIO_BASE_URL")

    @property
    def twilio_timeout(self) -> float:
        """Seconds that Twilio may take to connect, and again to answer."""
        return float(getattr(settings, "TWILIO_TIMEOUT_SECONDS", 10))

    @property
    def has_twilio(self) -> bool:
        """Whether messages can be sent by Twilio: all of its credentials are set."""
        return all(map(_text, TWILIO))


def _text(name: str) -> str:
    return str(getattr(settings, name, ""))


conf = NotificationSettings()


@register()
def check_twilio(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn when only some of Twilio's credentials are set, since then nothing is sent."""
    missing = [name for name in TWILIO if not _text(name)]
    if not missing or len(missing) == len(TWILIO):
        return []
    return [
        Warning(
            f"{', '.join(missing)} is not set, so SMS are logged and not sent.",
            hint=f"Set all of {', '.join(TWILIO)}, or none.",
            id="signalbox_notifications.W001",
        )
    ]
