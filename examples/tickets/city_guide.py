"""The city guide: a partner's website that shows what is on and how many tickets are left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from django.conf import settings

from core.clients import HTTPClient


@dataclass(frozen=True)
class Listing:
    """One line in the guide."""

    happening: str
    title: str
    available: int


_client = HTTPClient()


def update_listings(listings: Sequence[Listing]) -> None:
    """Tell the city guide what is on; raises ExternalServiceError when it refuses."""
    body = {"listings": [asdict(listing) for listing in listings]}
    _client.post_json(settings.TICKETS_CITY_GUIDE_URL, json=body)
