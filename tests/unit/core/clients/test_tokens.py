"""Where a token comes from, and who gets to see it."""

from __future__ import annotations

import asyncio
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.clients import AsyncHTTPClient, HTTPClient, Token
from core.clients.tokens import TokenSource, _configured
from core.exceptions import AuthenticationError, ExternalServiceError, ServiceTimeoutError
from tests.unit.core.clients.fault_server import FaultServer

issued: list[str] = []


def provider() -> str:
    """A token service that settings can name."""
    issued.append("t")
    return f"from-provider-{len(issued)}"


@pytest.fixture(autouse=True)
def _nothing_issued() -> None:
    issued.clear()
    _configured.cache_clear()


def sent(server: FaultServer) -> str | None:
    """Return the header that arrived last."""
    return server.last().headers.get("authorization")


def test_an_explicit_token(client: Any, server: FaultServer) -> None:
    """The token of a call arrives as a bearer token."""
    client.get(server.url, token="abc")
    assert sent(server) == "Bearer abc"


def test_a_client_s_token(client_of: Any, server: FaultServer) -> None:
    """A client's token goes with each call; a call's wins, and the empty one sends none."""
    client = client_of(token="of-the-client")
    client.get(server.url)
    assert sent(server) == "Bearer of-the-client"
    client.get(server.url, token="of-the-call")
    assert sent(server) == "Bearer of-the-call"
    client.get(server.url, token="")
    assert sent(server) is None


def test_the_token_of_the_settings(client: Any, server: FaultServer, settings: Any) -> None:
    """Without another one the settings' token is sent; without any, none."""
    client.get(server.url)
    assert sent(server) is None
    settings.SERVICE_AUTH_TOKEN = "of-the-settings"
    client.get(server.url)
    assert sent(server) == "Bearer of-the-settings"


def test_the_provider_of_the_settings(client_of: Any, server: FaultServer, settings: Any) -> None:
    """A provider named by the settings is asked once, whichever client calls."""
    settings.SERVICE_TOKEN_PROVIDER = f"{__name__}.provider"
    for client in (client_of(), client_of()):
        client.get(server.url)
    assert sent(server) == "Bearer from-provider-1"


def test_an_asynchronous_provider(client_of: Any, server: FaultServer) -> None:
    """A provider may be a coroutine function, for either client."""

    async def issue() -> Token:
        return Token("async", expires_in=3600)

    client_of(token=issue).get(server.url)
    assert sent(server) == "Bearer async"


def test_an_expired_token_is_replaced(client_of: Any, server: FaultServer) -> None:
    """One that ends within seconds is not sent again."""
    tokens = iter(["first", "second"])
    client = client_of(token=lambda: Token(next(tokens), expires_in=5))
    client.get(server.url)
    client.get(server.url)
    assert sent(server) == "Bearer second"


def test_a_refused_token_is_renewed_once(client_of: Any, server: FaultServer) -> None:
    """After a 401 a fresh token is tried, without using up an attempt's pause."""
    tokens = iter(["first", "second", "third"])
    client = client_of(token=lambda: next(tokens), attempts=1)
    assert client.get(server.url, "private").status_code == 200
    assert len(server.requests) == 2
    assert next(tokens) == "third"


def test_a_token_that_is_never_taken(client_of: Any, server: FaultServer) -> None:
    """The second 401 surfaces."""
    client = client_of(token=lambda: f"bad-{len(server.requests)}")
    with pytest.raises(ExternalServiceError) as raised:
        client.get(server.url, "status/401")
    assert (raised.value.details["status"], len(server.requests)) == (401, 2)


def test_an_explicit_token_is_not_renewed(client: Any, server: FaultServer) -> None:
    """A 401 to a given token is final."""
    with pytest.raises(ExternalServiceError):
        client.get(server.url, "private", token="first")
    assert len(server.requests) == 1


def test_a_provider_that_fails(client_of: Any, server: FaultServer) -> None:
    """No token, no call; the text of the error stays inside."""

    def fail() -> str:
        raise RuntimeError("client_secret=s3cr3t was refused")

    with pytest.raises(ExternalServiceError) as raised:
        client_of(token=fail).get(server.url)
    assert raised.value.code == "TOKEN_UNAVAILABLE"
    assert "s3cr3t" not in str(raised.value)
    assert not server.requests


def test_a_provider_s_own_error_passes(client_of: Any, server: FaultServer) -> None:
    """An error of the hierarchy is not wrapped."""

    def fail() -> str:
        raise AuthenticationError("the account is closed")

    with pytest.raises(AuthenticationError):
        client_of(token=fail).get(server.url)


@pytest.mark.parametrize("value", [7, b"bytes", "", "a b", "a\r\nX-Evil: 1"])
def test_a_provider_that_returns_no_token(client_of: Any, server: FaultServer, value: Any) -> None:
    """What is no text is not sent."""
    with pytest.raises(ExternalServiceError, match="no token"):
        client_of(token=lambda: value).get(server.url)


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "a b", "tökén", "a\0"])
def test_a_token_that_would_break_the_header(client: Any, server: FaultServer, token: str) -> None:
    """It is refused without being shown."""
    with pytest.raises(ValueError, match="token has characters") as raised:
        client.get(server.url, token=token)
    assert token not in str(raised.value)


def test_one_refresh_at_a_time() -> None:
    """Many threads that need a token ask the provider once."""
    started = threading.Event()
    asked: list[int] = []

    def slow() -> str:
        asked.append(1)
        started.wait(0.2)
        return "one"

    source = TokenSource(slow)
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: source.get(), range(64))) == {"one"}
    assert len(asked) == 1


def test_one_refresh_after_many_refusals(server: FaultServer) -> None:
    """Threads whose token was refused at once get one fresh token between them."""
    asked: list[int] = []

    def issue() -> str:
        asked.append(1)
        return "first" if len(asked) == 1 else "second"

    client = HTTPClient(token=issue)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get(server.url, "private").status_code, range(8)))
    client.close()
    assert answers == [200] * 8
    assert len(asked) == 2


def test_a_provider_without_a_token(client_of: Any, server: FaultServer) -> None:
    """None sends no header, and the provider is asked again the next time."""
    tokens = iter([None, "second"])
    client = client_of(token=lambda: next(tokens))
    client.get(server.url)
    assert sent(server) is None
    client.get(server.url)
    assert sent(server) == "Bearer second"


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "60", True])
def test_a_senseless_life_time(seconds: Any) -> None:
    """It is refused where the token is made."""
    with pytest.raises(ValueError, match="expires_in"):
        Token("a", expires_in=seconds)


def test_a_provider_that_needs_its_own_token(client_of: Any, server: FaultServer) -> None:
    """It is told so instead of waiting for itself."""

    def issue() -> str:
        client.get(server.url)
        return "never"

    client = HTTPClient(token=issue)
    with pytest.raises(ExternalServiceError, match="token=''"), client:
        client.get(server.url, deadline=5)


def test_what_a_provider_raises_is_not_printed(client_of: Any) -> None:
    """Its place is, in the traceback as well."""

    def fail() -> str:
        raise RuntimeError("client_secret=s3cr3t was refused")

    with pytest.raises(ExternalServiceError) as raised:
        client_of(token=fail).get("http://127.0.0.1:9")
    printed = "".join(traceback.format_exception(raised.value))
    assert "RuntimeError (test_tokens.py:" in printed
    assert "s3cr3t" not in printed


def test_who_waits_for_a_token_waits_until_the_deadline(server: FaultServer) -> None:
    """Somebody else's provider that hangs does not hold up a call longer than it says."""
    asked, release = threading.Event(), threading.Event()

    def hang() -> str:
        asked.set()
        release.wait(10)
        return "late"

    with HTTPClient(token=hang) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.get, server.url)
        assert asked.wait(10)
        with pytest.raises(ServiceTimeoutError):
            client.get(server.url, deadline=0.05)
        release.set()
        assert first.result().status_code == 200


def test_an_async_provider_that_hangs(server: FaultServer) -> None:
    """It is given up at the deadline, and the next call asks again."""
    asked: list[int] = []

    async def hang() -> str:
        asked.append(1)
        if len(asked) == 1:
            await asyncio.sleep(60)
        return "second"

    async def call() -> int:
        async with AsyncHTTPClient(token=hang) as client:
            with pytest.raises(ServiceTimeoutError):
                await client.get(server.url, deadline=0.05)
            return (await client.get(server.url)).status_code

    assert asyncio.run(call()) == 200
    assert len(asked) == 2


def test_an_async_provider_that_calls_a_service(server: FaultServer) -> None:
    """Many calls that wait for its token leave it the threads that it needs to look a name up."""

    async def issue() -> str:
        async with AsyncHTTPClient(token="") as service:
            told = await service.get_json(server.url.replace("127.0.0.1", "localhost"), "token")
        return str(told["path"]).strip("/")

    async def call_all() -> int:
        async with AsyncHTTPClient(token=issue, deadline=20) as client:
            replies = await asyncio.gather(*(client.get(server.url) for _ in range(80)))
        return sum(reply.status_code == 200 for reply in replies)

    assert asyncio.run(call_all()) == 80
    assert server.seen["/token"] == 1


def test_a_cancelled_wait_does_not_take_the_token_from_others() -> None:
    """Neither when one of many gives up, nor when the one does who was asking."""
    asked: list[int] = []

    async def run() -> list[Any]:
        started = asyncio.Event()

        async def issue() -> str:
            asked.append(1)
            started.set()
            await asyncio.sleep(60 if len(asked) == 1 else 0)
            return "second"

        source = TokenSource(issue)
        waiting = [asyncio.create_task(source.aget()) for _ in range(5)]
        await started.wait()
        waiting[3].cancel()
        waiting[0].cancel()
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = asyncio.run(run())
    assert [str(found[number]) for number in (1, 2, 4)] == ["second"] * 3
    assert len(asked) == 2


def test_a_short_token_is_shared_by_those_who_waited() -> None:
    """Also one that is not kept since it ends at once."""
    asked: list[int] = []
    together = threading.Barrier(8)

    def issue() -> Token:
        asked.append(1)
        release.wait(0.2)
        return Token("short", expires_in=1)

    release = threading.Event()
    source = TokenSource(issue)

    def get(_: int) -> str:
        together.wait()
        return source.get()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(get, range(8))) == {"short"}
    assert len(asked) < 8
