"""Brokers for tests: real ones, and servers that refuse, hang or never accept."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import redis
from celery import current_app

from core.events import wakeup
from core.events.doorbell import doorbell


@contextmanager
def using_broker(url: str) -> Iterator[None]:
    """Send wake-ups to this broker within the block, with a breaker that knows nothing yet."""
    former = current_app.conf.broker_url, wakeup._wakeups, wakeup._publisher, wakeup.ring
    wakeup._wakeups.flush(5)
    current_app.conf.broker_url = url
    wakeup._wakeups, wakeup._publisher = wakeup.Wakeups(), wakeup.Publisher()
    wakeup.ring = wakeup._wakeups.ring
    doorbell.after_fork()
    try:
        yield
    finally:
        wakeup._wakeups.flush(5)
        current_app.conf.broker_url, wakeup._wakeups, wakeup._publisher, wakeup.ring = former
        doorbell.after_fork()


def as_broker(redis_url: str) -> str:
    """Return the address of a Redis as Celery takes it."""
    return redis_url.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")


class Inbox:
    """The messages of one queue on a Redis broker."""

    def __init__(self, url: str, queue: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._queue = queue
        self.clear()

    def clear(self) -> None:
        """Remove every message and every trace of the doorbell."""
        names = [self._queue, f"signalbox:signs:{self._queue}", f"signalbox:bell:{self._queue}"]
        self._client.delete(*names)

    def forget_signs(self) -> None:
        """Let whoever said to be listening be gone."""
        self._client.delete(f"signalbox:signs:{self._queue}")

    def count(self) -> int:
        """Return how many messages wait."""
        return int(self._client.llen(self._queue))

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that wait."""
        return [json.loads(text) for text in self._client.lrange(self._queue, 0, -1)]

    def close(self) -> None:
        """Clear up."""
        self.clear()
        self._client.close()


class HangingServer:
    """Accepts connections on a local port and never says a word, or one and the same, late."""

    def __init__(self, *, reply: bytes = b"", after: float = 0.0) -> None:
        self._reply, self._after = reply, after
        self._server = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._accepted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port."""
        return int(self._server.getsockname()[1])

    @property
    def connections(self) -> int:
        """How often somebody connected."""
        return len(self._accepted)

    def _run(self) -> None:
        while True:
            try:
                caller = self._server.accept()[0]
            except OSError:
                return
            self._accepted.append(caller)
            if self._reply:
                threading.Thread(target=self._answer, args=(caller,), daemon=True).start()

    def _answer(self, caller: socket.socket) -> None:
        try:
            while caller.recv(65536):
                threading.Event().wait(self._after)
                caller.sendall(self._reply)
        except OSError:
            return

    def close(self) -> None:
        """Hang up on everybody."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)
        for accepted in self._accepted:
            with suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)
            accepted.close()


def refused_port() -> int:
    """Return a local port on which nobody listens."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def silent_port() -> Iterator[int]:
    """Yield a port whose packets go nowhere: the queue of connections to accept is full."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    callers = []
    for _ in range(8):
        caller = socket.socket()
        caller.setblocking(False)
        caller.connect_ex(server.getsockname())
        callers.append(caller)
    try:
        yield int(server.getsockname()[1])
    finally:
        for caller in callers:
            caller.close()
        server.close()
