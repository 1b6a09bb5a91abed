"""The headers that tell the other service who asks, and let a request be followed through it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

from core.context import current_context

CORRELATION = "X-Correlation-ID"
TENANT = "X-Tenant-ID"
TRACE = "traceparent"
IDEMPOTENCY = "Idempotency-Key"
# What belongs to one origin and is dropped on the way to another.
PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization", "idempotency-key"})


def given(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return a caller's headers. Raises ValueError for what would end a header line."""
    found: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"header {name!r}: name and value must be texts")
        if not name or not name.isascii() or any(c in name for c in "\r\n\0: "):
            raise ValueError(f"header {name!r}: not a name")
        if any(c in value for c in "\r\n\0"):
            raise ValueError(f"header {name!r}: its value has a line break")
        found[name] = value
    return found


def complete(headers: dict[str, str], token: str, idempotency_key: str | None) -> dict[str, str]:
    """Return the headers with token, idempotency key and the context; a caller's own stay."""
    context = current_context()
    ours = {}
    if token:
        ours["Authorization"] = f"Bearer {token}"
    if idempotency_key is not None:
        ours[IDEMPOTENCY] = idempotency_key
    if context.correlation_id is not None:
        ours[CORRELATION] = context.correlation_id
        ours[TRACE] = f"00-{_trace_id(context.correlation_id)}-{secrets.token_hex(8)}-01"
    if context.tenant_id is not None:
        ours[TENANT] = context.tenant_id
    if not headers:
        return ours
    names = {name.lower() for name in headers}
    return headers | {name: value for name, value in ours.items() if name.lower() not in names}


def public(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that another origin may see."""
    return {name: value for name, value in headers.items() if name.lower() not in PRIVATE}


@lru_cache(maxsize=1024)
def _trace_id(correlation_id: str) -> str:
    """Return the W3C trace id of a correlation id: its own digits if it is a UUID, else a hash."""
    try:
        return UUID(correlation_id).hex
    except ValueError:
        return hashlib.sha256(correlation_id.encode()).hexdigest()[:32]
