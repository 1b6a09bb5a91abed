"""Takes the context of who sends a Celery task along to its run, and puts it away afterwards.

A task's message has a header with the ids of its sender's context. Events need none of this: they
carry their own context, so the wake-ups of the engine carry nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from celery import signals

from core.context import Context, current_context, current_fields, set_context, set_fields

HEADER = "signalbox_context"
_TEXTS = ("actor_id", "tenant_id", "correlation_id", "trace")
# Says only that a queue has work, which may be anybody's.
_WAKE_UP = "events.deliver"
_LONGEST = 128


def connect() -> None:
    """Have Celery call what is below. What fails in there Celery logs, and goes on."""
    signals.before_task_publish.connect(_attach, dispatch_uid="core.task_context")
    signals.task_prerun.connect(_begin, dispatch_uid="core.task_context")
    signals.task_postrun.connect(_end, dispatch_uid="core.task_context")


def _attach(sender: str = "", headers: dict[str, Any] | None = None, **_: Any) -> None:
    context = current_context()
    if headers is None or sender == _WAKE_UP:
        return
    carried = {name: value for name in _TEXTS if (value := getattr(context, name)) is not None}
    if context.causation_id is not None:
        carried["causation_id"] = str(context.causation_id)
    if carried:
        headers[HEADER] = carried


def _begin(task_id: str, task: Any, **_: Any) -> None:
    request = task.request
    # An eager task runs within its caller, whose context goes on after it.
    before = (current_context(), current_fields()) if request.is_eager else (Context(), {})
    request.signalbox_before = before
    if not request.is_eager:
        set_context(carried_context(getattr(request, HEADER, None)))
    set_fields({**before[1], "task": task.name, "task_id": task_id})


def _end(task: Any, **_: Any) -> None:
    context, fields = getattr(task.request, "signalbox_before", (Context(), {}))
    set_context(context)
    set_fields(fields)


def carried_context(header: Any) -> Context:
    """Return the context that a message carries; what is not well-formed counts as missing."""
    if not isinstance(header, Mapping):
        return Context()
    texts = {name: header[name] for name in _TEXTS if _is_id(header.get(name))}
    return Context(**texts, causation_id=_uuid(header.get("causation_id")))


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and "\x00" not in value


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
