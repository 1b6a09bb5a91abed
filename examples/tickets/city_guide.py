"""The city guide: a partner's website that shows what is on and how many tickets are left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import requests
from django.conf import settings


@dataclass(frozen=True)
class Listing:
    """One line in the guide."""

    happening: str
    title: str
    available: int


def update_listings(listings: Sequence[Listing]) -> None:
    """Tell the city guide what is on; raises requests.RequestException when it refuses."""
    response = requests.post(
        settings.TICKETS_CITY_GUIDE_URL,
        json={"listings": [asdict(listing) for listing in listings]},
        timeout=5,
    )
    response.raise_for_status()
