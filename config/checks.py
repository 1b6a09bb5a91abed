"""Reports environment variables that cannot be used: in `check` and when a process starts."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from config.settings.cache import REDIS_URL
from config.settings.celery import broker_from_cache
from config.settings.environment import env, problems


@register()
def check_environment(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report each environment variable that cannot be used, by name."""
    errors = [Error(p.message, hint=p.hint, obj=p.name, id="config.E001") for p in problems]
    doubts = [Warning(p.message, hint=p.hint, obj=p.name, id="config.W001") for p in env.unknown()]
    return [*errors, *doubts]


@register()
def check_cache_and_broker(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report a cache that processes do not share, or that shares a database with the broker."""
    if env.is_set("CELERY_BROKER_URL") and not REDIS_URL:
        return [
            Warning(
                "is not set: each process has a cache of its own, which no other can invalidate.",
                hint="Set it to redis://host:6379/1.",
                obj="REDIS_URL",
                id="config.W002",
            )
        ]
    if REDIS_URL and broker_from_cache(REDIS_URL) == settings.CELERY_BROKER_URL:
        return [
            Warning(
                "is the cache's database: clearing the cache empties the queues too.",
                hint="Use another database number than REDIS_URL does.",
                obj="CELERY_BROKER_URL",
                id="config.W003",
            )
        ]
    return []


@register()
def check_proxies(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report that clients can make up their address although a proxy knows it."""
    if settings.SECURE_PROXY_SSL_HEADER is None or settings.TRUSTED_PROXIES:
        return []
    return [
        Warning(
            "is not set behind a proxy: clients can make up the address that limits count by.",
            hint="Set it to the addresses of the proxies, such as 10.0.0.0/8.",
            obj="TRUSTED_PROXIES",
            id="config.W004",
        )
    ]


def require_valid_environment() -> None:
    """Raise `ImproperlyConfigured`, naming every bad variable, instead of running on a guess."""
    env.require_valid()
