"""A server that behaves badly on purpose: the path says how."""

from __future__ import annotations

import gzip
import json
import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

_STEP = 0.05
_LONGEST = 10.0


@dataclass
class Request:
    """What the server was sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def number(self, name: str, default: int) -> int:
        return int(self.query.get(name, [str(default)])[0])


@dataclass
class FaultServer:
    """The address of a running server and what it has seen."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def last(self) -> Request:
        return self.requests[-1]


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        # Of the test that made the connection, also when another one is running by now.
        self.faults = self.server.faults
        self.faults.connections += 1
        with _gone():
            while request := self._read():
                self.faults.requests.append(request)
                self.faults.seen[request.path] += 1
                behave = BEHAVIOURS.get(request.path.strip("/").partition("/")[0], _echo)
                if behave(self, request) is False:
                    return

    def _read(self) -> Request | None:
        line = self.rfile.readline().decode("latin-1").split()
        if len(line) != 3:
            return None
        headers = {}
        while (header := self.rfile.readline().decode("latin-1").strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        parts = urlsplit(line[1])
        return Request(line[0], parts.path, parse_qs(parts.query), headers, body)

    def answer(
        self, status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.head(status, {"Content-Length": str(len(body)), **(headers or {})})
        self.write(body)

    def head(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        self.write("\r\n".join(lines).encode())

    def write(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()

    def trickle(self, data: Iterator[bytes]) -> None:
        for piece in data:
            self.write(piece)
            if self.faults.closing.wait(_STEP):
                return


@contextmanager
def _gone() -> Iterator[None]:
    # The client is allowed to leave whenever it wants.
    try:
        yield
    except OSError:
        pass


def _echo(handler: _Handler, request: Request) -> None:
    told = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": request.headers,
        "body": request.body.decode(errors="replace"),
    }
    body = b"" if request.method == "HEAD" else json.dumps(told).encode()
    handler.answer(200, body, {"Content-Type": "application/json", "Set-Cookie": "who=ada"})


def _status(handler: _Handler, request: Request) -> None:
    handler.answer(int(request.path.rpartition("/")[2]), b'{"reason": "secret reason"}')


def _flaky(handler: _Handler, request: Request) -> bool | None:
    """Fail so many times, then answer."""
    if handler.faults.seen[request.path] > request.number("times", 2):
        return _echo(handler, request)
    if request.query.get("how") == ["drop"]:
        return False
    after = request.query.get("after")
    headers = {"Retry-After": after[0]} if after else {}
    handler.answer(request.number("status", 503), b"", headers)
    return None


def _drop(handler: _Handler, request: Request) -> bool:
    return False


def _reset(handler: _Handler, request: Request) -> bool:
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    return False


def _stall(handler: _Handler, request: Request) -> bool:
    handler.faults.closing.wait(_LONGEST)
    return False


def _trickle(handler: _Handler, request: Request) -> bool:
    handler.head(200, {"Content-Length": "1000"})
    handler.trickle(b"x" for _ in range(1000))
    return False


def _trickle_head(handler: _Handler, request: Request) -> bool:
    handler.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    handler.trickle(b"x" for _ in range(1000))
    return False


def _closing(handler: _Handler, request: Request) -> bool:
    """Trickle on a connection that is to be closed, which urllib3 lets go before it reads."""
    handler.head(200, {"Content-Length": "1000", "Connection": "close"})
    handler.trickle(b"x" for _ in range(1000))
    return False


def _raw(handler: _Handler, request: Request) -> bool:
    """Answer with the headers that the query gives, as they are."""
    lines = ["HTTP/1.1 503 Whatever", *request.query["header"], "Content-Length: 0", "", ""]
    handler.write("\r\n".join(lines).encode("latin-1"))
    return True


def _endless(handler: _Handler, request: Request) -> bool:
    handler.head(200, {"Transfer-Encoding": "chunked"})
    while not handler.faults.closing.is_set():
        handler.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    return False


def _short(handler: _Handler, request: Request) -> bool:
    """Promise more than is sent."""
    handler.head(200, {"Content-Length": "1000"})
    handler.write(b"only this")
    return False


def _large(handler: _Handler, request: Request) -> None:
    handler.answer(200, b"x" * request.number("bytes", 1000))


def _bad_gzip(handler: _Handler, request: Request) -> None:
    handler.answer(200, b"this is not gzip at all", {"Content-Encoding": "gzip"})


def _bomb(handler: _Handler, request: Request) -> None:
    handler.answer(200, gzip.compress(b"\0" * 20_000_000), {"Content-Encoding": "gzip"})


def _brotli(handler: _Handler, request: Request) -> None:
    """Say that the body is what a client was not asked for."""
    handler.answer(200, b"\x0b\x02\x80", {"Content-Encoding": request.query["as"][0]})


def _text(handler: _Handler, request: Request) -> None:
    handler.answer(200, b"<p>not JSON</p>", {"Content-Type": "text/html"})


def _garbage(handler: _Handler, request: Request) -> bool:
    handler.write(b"\x00\x01\x02 this is not HTTP\r\n\r\n")
    return False


def _empty(handler: _Handler, request: Request) -> None:
    handler.head(204, {})


def _loop(handler: _Handler, request: Request) -> None:
    handler.answer(302, b"", {"Location": request.path})


def _redirect(handler: _Handler, request: Request) -> None:
    handler.answer(request.number("status", 302), b"", {"Location": request.query["to"][0]})


def _redirect_endless(handler: _Handler, request: Request) -> bool:
    handler.head(302, {"Location": "/there", "Transfer-Encoding": "chunked"})
    while not handler.faults.closing.is_set():
        handler.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    return False


def _private(handler: _Handler, request: Request) -> None:
    """Take the second token only."""
    good = request.headers.get("authorization") == "Bearer second"
    handler.answer(200 if good else 401, b"{}")


BEHAVIOURS: dict[str, Callable[[_Handler, Request], Any]] = {
    "status": _status,
    "flaky": _flaky,
    "drop": _drop,
    "reset": _reset,
    "stall": _stall,
    "trickle": _trickle,
    "closing": _closing,
    "raw": _raw,
    "as": _brotli,
    "trickle-head": _trickle_head,
    "endless": _endless,
    "short": _short,
    "large": _large,
    "bad-gzip": _bad_gzip,
    "bomb": _bomb,
    "text": _text,
    "garbage": _garbage,
    "empty": _empty,
    "loop": _loop,
    "redirect": _redirect,
    "redirect-endless": _redirect_endless,
    "private": _private,
}


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    request_queue_size = 128
    faults = FaultServer()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave the output clean: clients leave as they like."""

    @contextmanager
    def watched(self) -> Iterator[FaultServer]:
        """Note what is sent within the block, and keep nobody waiting after it."""
        self.faults = faults = FaultServer(self.server_address[1])
        try:
            yield faults
        finally:
            faults.closing.set()


@contextmanager
def fault_server() -> Iterator[Server]:
    """Run a server until the end of the block."""
    with Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
