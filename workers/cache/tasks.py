"""What beat asks of the cache."""

from __future__ import annotations

from celery import shared_task

from .warming import warm_all


@shared_task(name="cache.warm", ignore_result=True)
def warm() -> dict[str, bool]:
    """Run the registered warmers; Flower shows which ones went well."""
    return warm_all()
