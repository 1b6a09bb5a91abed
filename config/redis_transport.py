"""kombu's Redis transport, mended for workers that see their server restart.

When the server restarts while a worker holds an unacknowledged message, kombu 5.7.0 tears down the
connection and then asks the torn-down channel for its address, to put the message back. That is an
`AttributeError`, which Celery does not recover from: the worker exits. Here it is what it means, a
lost connection, and the worker connects again.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(redis.Channel):  # type: ignore[misc]  # kombu has no types
    """A channel that says so when its connection is gone."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("This channel's connection to the broker was torn down.")
        parameters: dict[str, Any] = super()._connparams(asynchronous)
        return parameters


class Transport(redis.Transport):  # type: ignore[misc]  # kombu has no types
    """The transport that makes such channels."""

    Channel = Channel


def install() -> None:
    """Let `redis://`, `rediss://` and `redis+socket://` mean this transport."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
