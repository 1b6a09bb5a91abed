"""The headers by which a request is followed from one service into the next."""

from __future__ import annotations

import re

CORRELATION = "X-Correlation-ID"
TENANT = "X-Tenant-ID"
TRACE = "traceparent"

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# https://www.w3.org/TR/trace-context/: version, trace id, parent id, flags. Later versions may add.
_TRACE = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    r"-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)


def is_correlation_id(text: str) -> bool:
    """Tell whether a text from outside may be a correlation id: 1 to 128 harmless characters."""
    return _CORRELATION_ID.fullmatch(text) is not None


def trace_in(traceparent: str) -> str | None:
    """Return the trace of a W3C `traceparent`, such as "4bf9...4736-01"; None if malformed.

    That is its id and, of its flags, the one that every version has: whether it is sampled.
    """
    found = _TRACE.fullmatch(traceparent) if len(traceparent) <= 256 else None
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    return f"{found['trace']}-{int(found['flags'], 16) & 1:02x}"
