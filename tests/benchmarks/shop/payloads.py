"""What the events say: 336 bytes of JSON, on every side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

SIZE = 336

_numbers = count(1)


def payload() -> dict[str, Any]:
    """Return the next payload; no two have the same `order_id`."""
    order_id = f"order-{next(_numbers):012d}"
    return {
        "order_id": order_id,
        "buyer_id": "8412",
        "organiser_id": "173",
        "amount": "110.00",
        "fee": "8.80",
        "currency": "EUR",
        "channel": "web",
        "quantity": 2,
        "items": [
            {"sku": "front-row", "quantity": 1, "price": "65.00"},
            {"sku": "balcony", "quantity": 1, "price": "45.00"},
        ],
        "campaign": "autumn-newsletter",
        "locale": "de-AT",
        "remark": "." * 21,
    }


def payloads(number: int) -> Iterator[dict[str, Any]]:
    """Yield so many payloads."""
    return (payload() for _ in range(number))


def size(data: dict[str, Any]) -> int:
    """Return how many bytes of compact JSON this is."""
    return len(json.dumps(data, separators=(",", ":")))


def cache_key(order_id: str) -> str:
    """Return the key of the cached value that a sale makes stale."""
    return f"order:{order_id}"
