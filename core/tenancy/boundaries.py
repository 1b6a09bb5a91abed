"""Where the tenant of a request or of a Celery task ends: with it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from celery.signals import task_postrun, task_prerun
from django.core.signals import request_finished, request_started

from core.context import Context, current_context, set_context

# Threads of web servers and of workers serve one request or task after the other, so a tenant
# that one of them leaves behind must not be there for the next. Each with what has begun.
_outside: ContextVar[tuple[tuple[Any, Context], ...]] = ContextVar(
    "core_tenancy_outside", default=()
)


def _begin(sender: Any = None, **kwargs: Any) -> None:
    _outside.set((*_outside.get(), (sender, current_context())))


def _end(sender: Any = None, **kwargs: Any) -> None:
    begun = _outside.get()
    if sender is None and not (begun and _is_test_client(begun[-1][0])):
        # No server has sent this response. A view has closed one that it does not return, or it is
        # that of a test's AsyncClient, whose beginning is told in a task of its own.
        return
    *outer, (_, former) = begun or ((None, Context()),)
    _outside.set(tuple(outer))
    set_context(former)


def _is_test_client(sender: Any) -> bool:
    # By name, since no server needs that module.
    kinds = getattr(sender, "__mro__", ())
    return any(kind.__module__ == "django.test.client" for kind in kinds)


def watch_boundaries() -> None:
    """Put back the context of before whenever a request or a Celery task ends."""
    for begins, ends in ((task_prerun, task_postrun), (request_started, request_finished)):
        begins.connect(_begin)
        ends.connect(_end)
