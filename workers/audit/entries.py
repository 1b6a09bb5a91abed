"""What an event says to the audit log: one entry per subject."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.events import Event, ModelRef
from workers.redaction import masked

from .models import SYSTEM

Subject = tuple[str, str, str]

# What stands in columns of its own is not repeated in `data`.
_COLUMNS = frozenset({"model", "pk", "pks", "text", "changes", "request"})


def entries(event: Event) -> Iterator[dict[str, Any]]:
    """Yield the audit rows of an event, without secrets and sensitive fields."""
    data = masked(event.data, event.sensitive)
    common = {
        "event_id": event.id,
        "occurred_at": event.occurred_at,
        "action": _action(event),
        "actor": event.actor_id or str(event.data.get("changed_by") or SYSTEM),
        "changes": _changes(event.name, data),
        "request": _mapping(data.get("request")),
        "data": {key: value for key, value in data.items() if key not in _COLUMNS},
        "correlation_id": event.correlation_id or "",
        "tenant_id": event.tenant_id or "",
    }
    for object_type, object_id, object_text in subjects(event):
        yield {
            **common,
            "object_type": object_type,
            "object_id": object_id[:200],
            "object_text": object_text[:200],
        }


def subjects(event: Event) -> list[Subject]:
    """Return what an event is about, as (type, id, text): one subject, or one per changed row.

    These are the rows that a life cycle event names; failing that the references in the payload,
    those to the sender's model first; failing that the sender, with the id in `<model>_id`.
    """
    model = event.data.get("model")
    if isinstance(model, str) and "pks" in event.data:
        return list(dict.fromkeys((model, str(pk), "") for pk in event.data["pks"]))
    if isinstance(model, str) and "pk" in event.data:
        return [(model, str(event.data["pk"]), _text(event, "text"))]
    references = [
        value
        for field, value in event.data.items()
        if isinstance(value, ModelRef) and field not in event.sensitive
    ]
    if references:
        own = [reference for reference in references if reference.model == event.sender]
        return [(each.model, str(each.pk), each.text) for each in dict.fromkeys(own or references)]
    id_field = f"{event.sender.rpartition('.')[2].lower()}_id"
    return [(event.sender, _text(event, id_field), "")]


def _action(event: Event) -> str:
    # `audit.event` is how apps record an action that has no signal of its own.
    named = event.data.get("action") if event.name == "audit.event" else None
    return named[:200] if isinstance(named, str) else event.name


def _text(event: Event, field: str) -> str:
    value = event.data.get(field)
    return "" if value is None or field in event.sensitive else str(value)


def _changes(name: str, data: dict[str, Any]) -> dict[str, Any]:
    if "old" in data and "new" in data:
        # A single value that changed, such as `platform_fee.changed`.
        return {name.rpartition(".")[0]: [data["old"], data["new"]]}
    return _mapping(data.get("changes"))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
