"""What can be the id of a tenant."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import models

from core.exceptions import TenantError
from core.helpers import shortened

MAX_LENGTH = 64


def tenant_id_of(tenant: Any) -> str:
    """Return the id as the text that is stored. Raises TenantError for what cannot be one."""
    return text_of("tenant_id", tenant, MAX_LENGTH)


def text_of(name: str, value: Any, length: int) -> str:
    """Return an id as text, or raise TenantError, which calls it `name`."""
    key = value.pk if isinstance(value, models.Model) else value
    if isinstance(key, bool) or not isinstance(key, str | int | UUID):
        raise TenantError(
            f"{name} must be a text, a number, a UUID or a saved instance, got {shortened(value)}"
        )
    fits = not isinstance(key, int) or key.bit_length() < 3 * length
    text = str(key) if fits else ""
    if not text.strip() or len(text) > length or not _is_storable(text):
        raise TenantError(
            f"{name} must be 1 to {length} characters without NUL, got {shortened(key)}"
        )
    return text


def _is_storable(text: str) -> bool:
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False  # half a character, which no database stores
