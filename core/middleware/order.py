"""The order of middleware, and a system check that the settings keep to it.

What a middleware needs stands before it: the log of a request needs its correlation id, the tenant
needs to know who asks. None has to be there; those that are must stand in this order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

_DJANGO_AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
_SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
_AUTH = "core.middleware.auth_middleware.AuthMiddleware"
_TENANT = "core.middleware.tenant.TenantMiddleware"

ORDER = (
    "core.middleware.request_context.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "core.middleware.security.SecurityHeadersMiddleware",
    "core.middleware.request_logging.RequestLoggingMiddleware",
    "core.middleware.analytics.AnalyticsMiddleware",
    _SESSIONS,
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    _DJANGO_AUTH,
    _AUTH,
    _TENANT,
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "core.middleware.exception_handler.ExceptionHandlerMiddleware",
)


def check_order(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Report middleware that stands in the wrong place, twice, or without what it needs."""
    found: list[CheckMessage] = []
    listed: list[tuple[str, int]] = []
    for path in settings.MIDDLEWARE:
        try:
            rank = _rank(path)
        except (ImportError, AttributeError, TypeError) as error:
            found.append(Error(f"MIDDLEWARE: {path!r} cannot be imported: {error}", id="core.E050"))
        else:
            if rank is not None:
                listed.append((path, rank))
    return [*found, *_misplaced(listed), *_missing({ORDER[rank] for _, rank in listed})]


def _rank(path: str) -> int | None:
    """Return the place in `ORDER` of a middleware or of the one that it is derived from."""
    if path in ORDER:
        return ORDER.index(path)
    for kind in getattr(import_string(path), "__mro__", ()):
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name in ORDER:
            return ORDER.index(name)
    return None


def _misplaced(listed: Sequence[tuple[str, int]]) -> list[CheckMessage]:
    kept = _longest_rising([rank for _, rank in listed])
    found: list[CheckMessage] = []
    for index, (path, rank) in enumerate(listed):
        if index in kept:
            continue
        if any(other == rank for _, other in listed[:index]):
            message, hint = f"{path} is there twice.", "Remove one of them."
        else:
            message, hint = f"{path} is in the wrong place.", _place(listed, kept, rank)
        found.append(Error(f"MIDDLEWARE: {message}", hint=hint, id="core.E051"))
    return found


def _place(listed: Sequence[tuple[str, int]], kept: Sequence[int], rank: int) -> str:
    """Return where the middleware of this rank belongs among those that may stay."""
    after = [listed[index][0] for index in kept if listed[index][1] < rank]
    before = [listed[index][0] for index in kept if listed[index][1] > rank]
    places = [*(f"after {path}" for path in after[-1:]), *(f"before {path}" for path in before[:1])]
    return f"Put it {' and '.join(places)}."


def _longest_rising(ranks: Sequence[int]) -> list[int]:
    """Return the indexes of a longest strictly rising part of the ranks (patience sorting).

    The others are the fewest that have to be moved.
    """
    ends: list[int] = []  # of the best part of each length, the index of its last rank
    before: list[int | None] = []
    for index, rank in enumerate(ranks):
        length = bisect_left([ranks[end] for end in ends], rank)
        before.append(ends[length - 1] if length else None)
        ends[length : length + 1] = [index]
    found: list[int] = []
    last = ends[-1] if ends else None
    while last is not None:
        found.append(last)
        last = before[last]
    return found[::-1]


def _missing(present: set[str]) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if _AUTH in present and _SESSIONS in present and _DJANGO_AUTH not in present:
        message = f"MIDDLEWARE: without {_DJANGO_AUTH} nobody is known by session."
        found.append(Warning(message, hint=f"Put it before {_AUTH}.", id="core.W052"))
    is_by_claim = getattr(settings, "TENANT_SOURCE", "claim") == "claim"
    if _TENANT in present and is_by_claim and _AUTH not in present:
        message = f"MIDDLEWARE: {_TENANT} takes the tenant from tokens, which {_AUTH} reads."
        hint = f"Put {_AUTH} before it, or set TENANT_SOURCE."
        found.append(Error(message, hint=hint, id="core.E053"))
    return found
