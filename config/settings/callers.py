"""Who sends requests, and where it is counted how many: proxies and rate limits."""

__all__ = ["RATE_LIMIT_REDIS_URL", "TRUSTED_PROXIES"]

import ipaddress

from .cache import REDIS_URL
from .environment import env


def _networks(name: str) -> list[str]:
    words = env.words(name)
    for word in words:
        try:
            ipaddress.ip_network(word, strict=False)
        except ValueError:
            env.report(name, f"{word!r} is no address.", "Use 10.0.0.1, 10.0.0.0/8 or fd00::/8.")
            return []
    return words


# Without them anybody can send an X-Forwarded-For that is believed.
TRUSTED_PROXIES = _networks("TRUSTED_PROXIES")
# Without a Redis each process counts for itself.
RATE_LIMIT_REDIS_URL = env.url(
    "RATE_LIMIT_REDIS_URL", REDIS_URL, schemes=["redis", "rediss", "unix"]
)
