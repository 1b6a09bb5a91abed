"""Where the tenant of a request or of a Celery task ends: with it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from celery.signals import task_postrun, task_prerun
from django.core.signals import request_finished, request_started

from core.context import Context, current_context, set_context

# Threads of web servers and of workers serve one request or task after the other, so a tenant
# that one of them leaves behind must not be there for the next.
_outside: ContextVar[tuple[Context, ...]] = ContextVar("core_tenancy_outside", default=())


def _begin(**kwargs: Any) -> None:
    _outside.set((*_outside.get(), current_context()))


def _end(sender: Any = None, **kwargs: Any) -> None:
    begun = _outside.get()
    if not begun and sender is None:
        # No server has sent this response, but a test's AsyncClient, whose beginning is told in a
        # task of its own: what is current belongs to whoever asked.
        return
    *outer, former = begun or (Context(),)
    _outside.set(tuple(outer))
    set_context(former)


def watch_boundaries() -> None:
    """Put back the context of before whenever a request or a Celery task ends."""
    for begins, ends in ((task_prerun, task_postrun), (request_started, request_finished)):
        begins.connect(_begin)
        ends.connect(_end)
