"""Takes what is sent to PostHog and counts it, as cheaply as Python can: it is not measured."""

from __future__ import annotations

import asyncio
import gzip
import re
import sys

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_EVENT = b'"uuid"'
_GZIP = b"\x1f\x8b"


class Sink(asyncio.Protocol):
    """One kept-alive connection. `GET /` tells how many events came over all of them."""

    events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while request := self._request():
            self._answer(*request)

    def _request(self) -> tuple[bytes, bytes] | None:
        """Return the head and the body of the next request that is complete."""
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if not blank or len(rest) < length:
            return None
        self._received = rest[length:]
        return head, rest[:length]

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            text = b"%d" % Sink.events
        else:
            Sink.events += (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).count(
                _EVENT
            )
            text = b'{"status": 1}'
        self._transport.write(  # type: ignore[attr-defined]  # it is a stream's transport
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(text), text)
        )


async def main(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
