"""Health over HTTP: names what is up and down, never addresses or error texts."""

import logging
from collections.abc import Callable

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, JsonResponse

from config.celery import app

logger = logging.getLogger(__name__)


def live(request: HttpRequest) -> JsonResponse:
    """Answer that the process serves requests."""
    return JsonResponse({"status": "up"})


def report(request: HttpRequest) -> JsonResponse:
    """Answer which components are up: 503 without the database, which all else needs."""
    components = {name: _state(name, probe) for name, probe in PROBES.items()}
    status = 200 if components["database"] == "up" else 503
    return JsonResponse({"components": components}, status=status)


def _state(name: str, probe: Callable[[], None]) -> str:
    try:
        probe()
    except Exception:  # whatever it is, the component cannot be used
        logger.warning("health: %s is down", name, exc_info=True)
        return "down"
    return "up"


def _database() -> None:
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _cache() -> None:
    cache.set("health", "up", 10)
    if cache.get("health") != "up":
        raise ConnectionError("the cache forgot a value at once")


def _broker() -> None:
    with app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=1)


PROBES: dict[str, Callable[[], None]] = {
    "database": _database,
    "cache": _cache,
    "broker": _broker,
}
