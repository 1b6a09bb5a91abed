"""Who sent a request, for middleware that only writes it down and must not cost a query."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

from core.context import current_context


def known_user_id(request: HttpRequest) -> str | None:
    """Return the id of the user as far as it has been looked up, else the context's actor."""
    user: Any = vars(request).get("user")
    if isinstance(user, LazyObject) and user.__dict__.get("_wrapped") is empty:
        user = vars(request).get("_acached_user")
    if user is not None and getattr(user, "is_authenticated", False):
        return str(user.pk)
    return current_context().actor_id
