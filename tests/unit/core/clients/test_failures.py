"""Every failure comes out as one kind of error, in time, and shows no secret."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import pickle
import socket
import time
import traceback
import tracemalloc
import zlib
from typing import Any

import pytest

from core.clients import AsyncHTTPClient, external_call_finished
from core.clients.call import Failure
from core.clients.decoding import Body
from core.exceptions import ExternalServiceError, ServiceTimeoutError
from tests.unit.core.clients.fault_server import FaultServer

SECRET = "tok-3f9c"
BROKEN = ["drop", "reset", "short", "garbage", "bad-gzip", "bomb", "endless", "loop", "status/500"]
SLOW = ["stall", "trickle", "trickle-head", "closing"]


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("path", BROKEN)
def test_what_breaks_is_one_kind_of_error(client: Any, server: FaultServer, path: str) -> None:
    """No error of a library leaks; the body has the four keys and can be JSON."""
    with pytest.raises(ExternalServiceError) as raised:
        client.get(server.url, path, attempts=1, timeout=10)
    body = raised.value.to_dict()
    assert body.keys() == {"success", "error", "error_code", "details"}
    assert json.dumps(body)
    assert raised.value.status_code == 502
    assert type(pickle.loads(pickle.dumps(raised.value))) is type(raised.value)


@pytest.mark.parametrize("path", SLOW)
def test_what_takes_too_long_is_ended(client: Any, server: FaultServer, path: str) -> None:
    """Also a server that sends a byte now and then, in its head or its body."""
    started = time.monotonic()
    with pytest.raises(ServiceTimeoutError) as raised:
        client.get(server.url, path, attempts=1, timeout=0.06)
    assert 0.06 <= time.monotonic() - started < 5
    assert (raised.value.status_code, raised.value.code) == (504, "EXTERNAL_SERVICE_TIMEOUT")


@pytest.mark.parametrize("path", SLOW)
def test_all_attempts_end_with_the_deadline(client: Any, server: FaultServer, path: str) -> None:
    """A call never lasts longer than it says, however many attempts it has."""
    started = time.monotonic()
    with pytest.raises(ServiceTimeoutError):
        client.get(server.url, path, attempts=50, timeout=0.04, deadline=0.12)
    # The server would go on for ten.
    assert time.monotonic() - started < 5


def test_a_client_works_on_after_a_time_out(client: Any, server: FaultServer) -> None:
    """The connection that was ended is not used again."""
    with pytest.raises(ServiceTimeoutError):
        client.get(server.url, "trickle", attempts=1, timeout=0.1)
    assert client.get(server.url, "fine").status_code == 200


def test_nobody_listens(client: Any) -> None:
    """A refused connection is an ExternalServiceError that names host and port."""
    port = closed_port()
    with pytest.raises(ExternalServiceError, match=f"http://127.0.0.1:{port}/x: no connection"):
        client.get(f"http://127.0.0.1:{port}", "x", attempts=2)


def test_nothing_is_behind_an_error(client: Any, server: FaultServer) -> None:
    """A traceback does not show the library's error, whose text has the address with its query."""
    for url, path in ((f"http://127.0.0.1:{closed_port()}", "x"), (server.url, "drop")):
        with pytest.raises(ExternalServiceError) as raised:
            client.get(url, path, params={"key": SECRET}, attempts=2)
        assert raised.value.__cause__ is raised.value.__context__ is None
        assert SECRET not in "".join(traceback.format_exception(raised.value))
        assert "(" in raised.value.message


def test_a_name_that_does_not_exist(client: Any) -> None:
    """So is a name that leads nowhere."""
    with pytest.raises(ExternalServiceError):
        client.get("http://does-not-exist.invalid", attempts=1)


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example", "xn--\u20ac.example"])
def test_a_name_that_can_be_none(client: Any, host: str) -> None:
    """What the system says of it does not leak."""
    with pytest.raises(ExternalServiceError):
        client.get(f"http://{host}", attempts=1)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "whatever"])
def test_what_was_not_asked_for_is_not_unfolded(server: FaultServer, encoding: str) -> None:
    """httpx would unfold any amount of it, and layers of it, at once."""

    async def call() -> None:
        async with AsyncHTTPClient() as client:
            with pytest.raises(ExternalServiceError, match="decompressed"):
                await client.get(server.url, "as", params={"as": encoding})

    asyncio.run(call())
    assert server.last().headers["accept-encoding"] == "gzip, deflate"


def test_a_bomb_is_not_unfolded_further_than_allowed() -> None:
    """Not even the piece of it that has come."""
    bomb = gzip.compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(Failure, match="more than 1000000 bytes"):
            Body("gzip", 1_000_000).add(bomb)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_what_was_compressed_comes_out_whole() -> None:
    """In one piece or byte by byte, of several members, in each of the forms."""
    text = bytes(range(256)) * 5_000
    bare = zlib.compressobj(wbits=-15)
    forms = {
        gzip.compress(text[:7000]) + gzip.compress(text[7000:]): "gzip",
        gzip.compress(text) + b"\0" * 10: "x-gzip",
        zlib.compress(text): "deflate",
        bare.compress(text) + bare.flush(): "deflate",
        text: "identity",
    }
    for packed, encoding in forms.items():
        for size in (len(packed), 999):
            body = Body(encoding, None)
            for start in range(0, len(packed), size):
                body.add(packed[start : start + size])
            assert body.content() == text


def test_an_answer_that_is_not_json(client: Any, server: FaultServer) -> None:
    """The code says so, and the answer is at hand."""
    with pytest.raises(ExternalServiceError) as raised:
        client.get_json(server.url, "text")
    assert raised.value.code == "INVALID_RESPONSE"
    assert raised.value.response.content == b"<p>not JSON</p>"


@pytest.mark.parametrize("status", [400, 404, 422, 500, 501])
def test_an_error_status_is_raised(client: Any, server: FaultServer, status: int) -> None:
    """With the status in its details, and the answer for who wants to read it."""
    with pytest.raises(ExternalServiceError) as raised:
        client.post(server.url, f"status/{status}")
    assert raised.value.details["status"] == status
    assert raised.value.response.status_code == status
    assert b"secret reason" in raised.value.response.content
    assert "secret reason" not in json.dumps(raised.value.to_dict())


@pytest.mark.parametrize("path", ["large?bytes=2001", "endless", "bomb"])
def test_answers_are_bounded(client: Any, server: FaultServer, path: str) -> None:
    """Whether the length is announced, unknown, or that of a compressed bomb."""
    path, _, query = path.partition("?")
    params = dict(part.split("=") for part in query.split("&")) if query else {}
    with pytest.raises(ExternalServiceError, match="more than 2000 bytes"):
        client.get(server.url, path, params=params, max_response_bytes=2000)
    assert len(server.requests) == 1


def test_an_answer_of_just_that_size_passes(client: Any, server: FaultServer) -> None:
    """The bound is inclusive."""
    response = client.get(server.url, "large", params={"bytes": 2000}, max_response_bytes=2000)
    assert len(response.content) == 2000


@pytest.mark.parametrize("path", ["drop", "status/500", "text", "stall"])
def test_no_secret_is_shown(
    client: Any, server: FaultServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the token nor the query, in error, traceback, anyone's log, signal or repr."""
    told: list[Any] = []

    def hear(**kwargs: Any) -> None:
        told.append(kwargs)

    external_call_finished.connect(hear)
    try:
        with caplog.at_level(logging.DEBUG), pytest.raises(ExternalServiceError) as raised:
            client.get_json(
                server.url,
                path,
                token=SECRET,
                params={"key": SECRET},
                headers={"X-Api-Key": SECRET},
                attempts=1,
                timeout=0.1 if path == "stall" else 2,
            )
    finally:
        external_call_finished.disconnect(hear)
    logged = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    printed = "".join(traceback.format_exception(raised.value))
    kept = pickle.dumps(raised.value.response.request.headers if raised.value.response else None)
    body = json.dumps(raised.value.to_dict())
    shown = [body, printed, repr(client), *logged, str(told), repr(kept)]
    assert not [text for text in shown if SECRET in text]


def test_each_call_is_logged_and_told_once(
    client: Any, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the attempts: service, method, path, status, duration, attempts, outcome."""
    told: list[dict[str, Any]] = []

    def hear(**kwargs: Any) -> None:
        told.append(kwargs)

    external_call_finished.connect(hear)
    try:
        with caplog.at_level(logging.INFO, "signalbox.external"):
            client.get(server.url, "flaky/log", params={"times": 2})
    finally:
        external_call_finished.disconnect(hear)
    (record,) = [record for record in caplog.records if record.name == "signalbox.external"]
    logged: Any = vars(record)["fields"]
    assert logged.pop("duration_ms") > 0
    assert logged == {
        "target": f"127.0.0.1:{server.port}",
        "method": "GET",
        "path": "/flaky/log",
        "status": 200,
        "attempts": 3,
        "outcome": "ok",
    }
    (call,) = told
    assert (call["attempts"], call["outcome"], call["status"]) == (3, "ok", 200)
    assert 0 < call["duration"] < 5


def test_a_listener_that_fails_does_not_fail_the_call(client: Any, server: FaultServer) -> None:
    """Metrics are no part of the call."""

    def fail(**kwargs: Any) -> None:
        raise RuntimeError("metrics are down")

    external_call_finished.connect(fail)
    try:
        assert client.get(server.url).status_code == 200
    finally:
        external_call_finished.disconnect(fail)


def test_the_answer_stays_in_the_process(client: Any, server: FaultServer) -> None:
    """An error that travels to another process leaves what the service answered behind."""
    with pytest.raises(ExternalServiceError) as raised:
        client.get(server.url, "status/404", params={"key": SECRET})
    assert raised.value.response.status_code == 404
    travelled = pickle.dumps(raised.value)
    assert SECRET.encode() not in travelled
    assert pickle.loads(travelled).response is None
    assert pickle.loads(travelled).details["status"] == 404
