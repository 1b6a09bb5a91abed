"""The headers that tell the other service who asks, and let a request be followed through it."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

from core.context import current_context
from core.tracing import CORRELATION, TENANT, TRACE

IDEMPOTENCY = "Idempotency-Key"
# What another origin may see; anything else may be a key of the first one's.
PUBLIC = frozenset(
    {"accept", "accept-language", "content-type", "user-agent", "x-correlation-id", "traceparent"}
)
# The libraries frame a request; somebody else's idea of its length would smuggle in another one.
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")


def given(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return a caller's headers. Raises ValueError for what would end a header line."""
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers is {type(headers).__name__}; give a mapping")
    found: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"header {name!r}: name and value must be texts")
        if not _NAME.fullmatch(name):
            raise ValueError(f"header {name!r}: not a name")
        if name.lower() in _FRAMING:
            raise ValueError(f"header {name!r}: it follows from the request itself")
        if not fits(value):
            raise ValueError(f"header {name!r}: its value has other than printable ASCII")
        found[name] = value.strip()
    return found


def fits(value: str) -> bool:
    """Tell whether a text can stand in a header."""
    return _VALUE.fullmatch(value) is not None


def merged(*layers: dict[str, str]) -> dict[str, str]:
    """Return the headers of all layers; a later one wins, however the name is spelled."""
    found: dict[str, tuple[str, str]] = {}
    for layer in layers:
        found |= {name.lower(): (name, value) for name, value in layer.items()}
    return dict(found.values())


def complete(headers: dict[str, str], token: str, idempotency_key: str | None) -> dict[str, str]:
    """Return the headers with token, idempotency key and the context; a caller's own stay."""
    context = current_context()
    ours = {}
    if token:
        ours["Authorization"] = f"Bearer {token}"
    if idempotency_key is not None:
        ours[IDEMPOTENCY] = idempotency_key
    if context.correlation_id is not None:
        trace = context.trace or _trace_id(context.correlation_id)
        trace_id, _, flags = trace.partition("-")
        ours[TRACE] = f"00-{trace_id}-{secrets.token_hex(8)}-{flags or '01'}"
        if fits(context.correlation_id):
            ours[CORRELATION] = context.correlation_id
    if context.tenant_id is not None and fits(context.tenant_id):
        ours[TENANT] = context.tenant_id
    return merged(ours, headers) if headers else ours


def public(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that another origin may see."""
    return {name: value for name, value in headers.items() if name.lower() in PUBLIC}


def bodiless(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request that has lost its body to a redirect."""
    return {k: v for k, v in headers.items() if not k.lower().startswith("content-")}


@lru_cache(maxsize=1024)
def _trace_id(correlation_id: str) -> str:
    """Return the W3C trace id of a correlation id: its own digits if it is a UUID, else a hash."""
    try:
        found = UUID(correlation_id)
    except ValueError:
        return hashlib.sha256(correlation_id.encode(errors="replace")).hexdigest()[:32]
    # The standard forbids a trace id of zeros.
    return found.hex if found.int else "0" * 31 + "1"
