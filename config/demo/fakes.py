"""Local stand-ins for Twilio, PostHog and webhook receivers, driven by the real SDKs.

Run `python -m config.demo.fakes --port 8999 --log received.jsonl`, or use `FakeServer`.
What arrived is at `GET /_received`; `POST /_fail` programs failures; `POST /_reset` forgets both.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

Kind = Literal["twilio", "posthog", "webhook"]

# The number that Twilio's own test credentials refuse as invalid (error 21211).
BAD_NUMBER = "+15005550001"

_TWILIO_PATH = re.compile(r"/2010-04-01/Accounts/[^/]+/Messages\.json$")


@dataclass(frozen=True)
class Received:
    """One item that arrived: a message, an analytics event or a webhook call."""

    kind: Kind
    key: str
    data: dict[str, Any]
    at: float = field(default_factory=time.time)


@dataclass
class Failure:
    """What the next `times` requests of a kind meet; -1 is until further notice.

    `drop` closes the connection unread; `lose_reply` accepts the items and then closes it, so that
    the caller cannot know; `status` answers with an error; a bare `delay` only answers late.
    Only requests whose body contains the text `containing` are met.
    """

    times: int = 1
    status: int | None = None
    delay: float = 0.0
    drop: bool = False
    lose_reply: bool = False
    retry_after: str | None = None
    containing: str = ""


class FakeServer:
    """A threaded HTTP server on a free port that records, and fails when told to."""

    def __init__(self, *, port: int = 0, log: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._requests: Counter[str] = Counter()
        self._failures: dict[str, list[Failure]] = {}
        self._log = log.open("a", buffering=1, encoding="utf-8") if log else None
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="fakes", daemon=True
        )

    @property
    def url(self) -> str:
        """Return the base address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> FakeServer:
        """Serve in a thread and return self."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, hang up on whoever is connected and free the port."""
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        if self._log:
            self._log.close()

    def received(self, kind: Kind | None = None) -> list[Received]:
        """Return what arrived, oldest first."""
        with self._lock:
            return [item for item in self._received if kind in (None, item.kind)]

    def requests(self, kind: Kind) -> int:
        """Return how many requests came in, those that were failed included."""
        with self._lock:
            return self._requests[kind]

    def duplicates(self, kind: Kind) -> dict[str, int]:
        """Return the keys that arrived more than once, with how often.

        The key is PostHog's `uuid`, a webhook's `Idempotency-Key`, and for Twilio, which has no
        such thing, number and text.
        """
        counts = Counter(item.key for item in self.received(kind))
        return {key: count for key, count in counts.items() if count > 1}

    def fail(self, kind: Kind, failure: Failure) -> None:
        """Program a failure; those of one kind are met in the order given."""
        with self._lock:
            self._failures.setdefault(kind, []).append(failure)

    def heal(self, kind: Kind | None = None) -> None:
        """Forget the programmed failures."""
        with self._lock:
            for name in [kind] if kind else list(self._failures):
                self._failures.pop(name, None)

    def reset(self) -> None:
        """Forget everything that arrived and every programmed failure."""
        self.heal()
        with self._lock:
            self._received.clear()
            self._requests.clear()

    def record(self, items: list[Received]) -> None:
        """Keep what arrived, and write it to the log before the reply goes out."""
        with self._lock:
            self._received.extend(items)
            if self._log:
                self._log.writelines(json.dumps(vars(item)) + "\n" for item in items)

    def next_failure(self, kind: Kind, body: bytes = b"") -> Failure | None:
        """Count a request and return the failure that it has to meet, if any."""
        with self._lock:
            self._requests[kind] += 1
            for failure in self._failures.get(kind, []):
                if failure.times != 0 and failure.containing.encode() in body:
                    failure.times -= failure.times > 0
                    return failure
            return None


@contextmanager
def fake_server(*, port: int = 0, log: Path | None = None) -> Iterator[FakeServer]:
    """Run a fake server within a block."""
    server = FakeServer(port=port, log=log).start()
    try:
        yield server
    finally:
        server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], fakes: FakeServer) -> None:
        self.fakes = fakes
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            # Kept-alive connections would otherwise be served on by their threads.
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away; that is what faults look like from here."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path != "/_received":
            return self._reply(404, {"message": f"there is no {url.path} here"})
        kind: Any = parse_qs(url.query).get("kind", [None])[0]
        self._reply(200, [vars(item) for item in self.server.fakes.received(kind)])

    def do_POST(self) -> None:
        body = self._body()
        if self.path.startswith("/_"):
            return self._control(body)
        kind = self._kind()
        failure = self.server.fakes.next_failure(kind, body)
        if failure and failure.delay:
            time.sleep(failure.delay)
        if failure and failure.drop:
            return self._hang_up()
        if failure and failure.status:
            headers = {"Retry-After": failure.retry_after} if failure.retry_after else {}
            error = {"code": 20000 + failure.status, "message": "as programmed", "detail": "-"}
            return self._reply(failure.status, error, headers)
        status, answer, items = getattr(self, f"_{kind}")(body)
        self.server.fakes.record(items)
        if failure and failure.lose_reply:
            return self._hang_up()
        self._reply(status, answer)

    def _control(self, body: bytes) -> None:
        given = json.loads(body or b"{}")
        if self.path == "/_fail":
            known = {each.name for each in fields(Failure)}
            options = {key: value for key, value in given.items() if key in known}
            self.server.fakes.fail(given["kind"], Failure(**options))
        elif self.path == "/_heal":
            self.server.fakes.heal(given.get("kind"))
        elif self.path == "/_reset":
            self.server.fakes.reset()
        else:
            return self._reply(404, {"message": f"there is no {self.path} here"})
        self._reply(200, {})

    def _kind(self) -> Kind:
        if _TWILIO_PATH.match(self.path):
            return "twilio"
        return "posthog" if self.path.startswith("/batch") else "webhook"

    def _twilio(self, body: bytes) -> tuple[int, Any, list[Received]]:
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        if form.get("To") == BAD_NUMBER:
            message = f"The 'To' number {BAD_NUMBER} is not a valid phone number."
            return 400, {"code": 21211, "message": message, "status": 400}, []
        sid = f"SM{uuid4().hex}"
        answer = {"sid": sid, "status": "queued", "error_code": None, "to": form.get("To")}
        return 201, answer, [Received("twilio", f"{form.get('To')}|{form.get('Body')}", form)]

    def _posthog(self, body: bytes) -> tuple[int, Any, list[Received]]:
        batch = json.loads(body)["batch"]
        return 200, {"status": 1}, [Received("posthog", event["uuid"], event) for event in batch]

    def _webhook(self, body: bytes) -> tuple[int, Any, list[Received]]:
        key = self.headers.get("Idempotency-Key", "")
        data = {"path": self.path, "body": body.decode(errors="replace")}
        return 200, {}, [Received("webhook", key, data)]

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        zipped = self.headers.get("Content-Encoding") == "gzip"
        return gzip.decompress(body) if zipped else body

    def _reply(self, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent; what arrived is asked for at `/_received`."""


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", type=Path, help="append what arrives here, as JSON lines")
    options = parser.parse_args()
    with fake_server(port=options.port, log=options.log) as server:
        print(server.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
