"""What is on: read by everybody, so it comes from the cache."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from django.utils import timezone

from .api import happening_json
from .models import Happening

ON_SALE = "tickets:on-sale"
SECONDS = 60
LONGEST = 100


def on_sale() -> list[dict[str, Any]]:
    """Return the next happenings; `routes` clears the entry whenever one of them changes.

    An entry that was being computed during such a change may be older by `SECONDS` at most.
    """
    return cache.get_or_set(ON_SALE, _on_sale, SECONDS) or []


def _on_sale() -> list[dict[str, Any]]:
    coming = Happening.objects.filter(starts_at__gt=timezone.now()).order_by("starts_at")
    return [happening_json(each) for each in coming.select_related("organiser")[:LONGEST]]
