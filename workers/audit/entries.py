"""What an event says to the audit log: one entry per subject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.events import Event, ModelRef
from workers.redaction import masked

from .models import SYSTEM

Subject = tuple[str, str, str]

_LENGTH = 200


def entries(event: Event) -> Iterator[dict[str, Any]]:
    """Yield the audit rows of an event, without secrets and sensitive fields."""
    data = masked(event.data, event.sensitive)
    found = subjects(event.sender, data)
    common = {
        "event_id": event.id,
        "occurred_at": event.occurred_at,
        "action": _action(event.name, data),
        "actor": event.actor_id or str(data.get("changed_by") or SYSTEM),
        "changes": _changes(event.name, data),
        "request": _mapping(data.get("request")),
        "data": _rest(data),
        "correlation_id": event.correlation_id or "",
        "tenant_id": event.tenant_id or "",
    }
    for object_type, object_id, object_text in found:
        yield {
            **common,
            "object_type": object_type,
            "object_id": object_id[:_LENGTH],
            "object_text": object_text[:_LENGTH],
        }


def subjects(sender: str, data: Mapping[str, Any]) -> list[Subject]:
    """Return what an event is about, as (type, id, text): one subject, or one per changed row.

    These are the rows that a life cycle event names; failing that the references in the payload,
    those to the sender's model first; failing that the sender, with the id in `<model>_id`.
    """
    if _names_rows(data):
        pks = data.get("pks") or [data["pk"]]
        text = _text(data.get("text"))
        return list(dict.fromkeys((data["model"], str(pk), text) for pk in pks))
    references = [value for value in data.values() if isinstance(value, ModelRef)]
    if references:
        own = [reference for reference in references if reference.model == sender]
        return [(each.model, str(each.pk), each.text) for each in dict.fromkeys(own or references)]
    return [(sender, _text(data.get(f"{sender.rpartition('.')[2].lower()}_id")), "")]


def _names_rows(data: Mapping[str, Any]) -> bool:
    return isinstance(data.get("model"), str) and bool(data.get("pks") or "pk" in data)


def _action(name: str, data: Mapping[str, Any]) -> str:
    # `audit.event` is how apps record an action that has no signal of its own.
    named = data.get("action") if name == "audit.event" else None
    return named[:_LENGTH] if isinstance(named, str) else name


def _changes(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if "old" in data and "new" in data:
        # A single value that changed, such as `platform_fee.changed`.
        return {name.rpartition(".")[0]: [data["old"], data["new"]]}
    return _mapping(data.get("changes"))


def _rest(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has no column of its own."""
    shown = {name for name in ("changes", "request") if isinstance(data.get(name), dict)}
    if _names_rows(data):
        shown |= {"model", "pk", "pks", "text"}
    return {name: value for name, value in data.items() if name not in shown}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)
