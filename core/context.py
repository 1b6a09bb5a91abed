"""Who acts, for whom and why: carried by context variables through a request, a task, a handler."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from uuid import UUID

# NUL, and halves of a character, which no database stores.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances that every event fired within them inherits."""

    actor_id: str | None = None
    tenant_id: str | None = None
    correlation_id: str | None = None
    causation_id: UUID | None = None
    # The W3C trace that the request belongs to: its id, 32 hexadecimal digits, and after a hyphen
    # its flags, which say whether it is sampled. Events do not carry it.
    trace: str | None = None
    # What the actor is in the tenant. Events do not carry it.
    roles: tuple[str, ...] = ()


_current: ContextVar[Context] = ContextVar("signalbox_context", default=Context())
_fields: ContextVar[Mapping[str, Any]] = ContextVar(
    "signalbox_log_fields", default=MappingProxyType({})
)
_UNCHANGED: Any = object()


def current_context() -> Context:
    """Return the context of the running request, task or handler."""
    return _current.get()


def set_context(context: Context) -> None:
    """Make `context` the current one until something else is set."""
    _current.set(context)


@contextmanager
def event_context(
    *, actor: Any = _UNCHANGED, tenant: Any = _UNCHANGED, correlation_id: Any = _UNCHANGED
) -> Iterator[Context]:
    """Set who acts, for which tenant and under which correlation id, within a block.

    `actor` and `tenant` are ids or model instances (their primary key is taken); None clears.
    What is not given stays as it was; on leaving the block the former context is back. The roles
    of the context go when the actor or the tenant changes, since they belong to both. Raises
    TypeError or ValueError for what cannot be an id.
    """
    changes: dict[str, Any] = {
        name: _as_id(name, value)
        for name, value in (
            ("actor_id", actor),
            ("tenant_id", tenant),
            ("correlation_id", correlation_id),
        )
        if value is not _UNCHANGED
    }
    with using_context(changed(_current.get(), **changes)) as context:
        yield context


def changed(context: Context, **changes: Any) -> Context:
    """Return the context with these changes; roles that are not given outlast no other change."""
    result = replace(context, **changes)
    same = (context.actor_id, context.tenant_id) == (result.actor_id, result.tenant_id)
    return result if same or "roles" in changes else replace(result, roles=())


@contextmanager
def using_context(context: Context) -> Iterator[Context]:
    """Make `context` the current one within a block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


@contextmanager
def bound_fields(**fields: Any) -> Iterator[None]:
    """Give every log record of the block these fields, besides those of the blocks around it."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def current_fields() -> Mapping[str, Any]:
    """Return the fields that log records carry here; not to be changed."""
    return _fields.get()


def set_fields(fields: Mapping[str, Any]) -> None:
    """Make these the fields of log records until something else is set."""
    _fields.set(fields)


def _as_id(name: str, value: Any) -> str | None:
    if value is None:
        return None
    is_instance = hasattr(value, "pk") and not isinstance(value, type)
    if is_instance and value.pk is None:
        # An anonymous user, or an instance that was never saved.
        return None
    if not is_instance and (isinstance(value, bool) or not isinstance(value, str | int | UUID)):
        raise TypeError(f"{name} must be a text, a number, a UUID or an instance, got {value!r}")
    text = str(value.pk if is_instance else value)
    if not text or len(text) > 128 or _UNSTORABLE.search(text):
        raise ValueError(f"{name} must be 1 to 128 characters without NUL, got {text[:40]!r}")
    return text
