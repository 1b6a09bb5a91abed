"""AsyncHTTPClient: the twin of HTTPClient for event loops, on httpx."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self

import httpcore
import httpx

from core.clients.addresses import RefusedAddress, looked_up_public
from core.clients.base import BaseClient, decoded
from core.clients.call import Call, Failure, GetToken, Reply, Send, caused_by, misled, root_of
from core.clients.connections import POOL_SIZE
from core.clients.decoding import Body, check_length, undecompressed
from core.clients.quiet import quiet

_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=POOL_SIZE)


class AsyncHTTPClient(BaseClient):
    """Calls other services from coroutines; everything else is as with `HTTPClient`.

    It returns the `httpx.Response`, its body read. A client may be used in several event loops;
    each has connections of its own, closed with the loop, or before by `aclose()` in it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._clients: dict[asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, _Closing]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next call opens new ones."""
        made = self._clients.pop(asyncio.get_running_loop(), None)
        if made is not None:
            await made[1].aclose()

    async def get(self, service_url: str, endpoint: str = "", **options: Any) -> httpx.Response:
        """Send a GET and return the response."""
        return await self.request("GET", service_url, endpoint, **options)

    async def head(self, service_url: str, endpoint: str = "", **options: Any) -> httpx.Response:
        """Send a HEAD and return the response."""
        return await self.request("HEAD", service_url, endpoint, **options)

    async def options(self, service_url: str, endpoint: str = "", **options: Any) -> httpx.Response:
        """Send an OPTIONS and return the response."""
        return await self.request("OPTIONS", service_url, endpoint, **options)

    async def post(self, service_url: str, endpoint: str = "", **options: Any) -> httpx.Response:
        """Send a POST and return the response."""
        return await self.request("POST", service_url, endpoint, **options)

    async def put(self, service_url: str, endpoint: str = "", **options: Any) -> httpx.Response:
        """Send a PUT and return the response."""
        return await self.request("PUT", service_url, endpoint, **options)

    async def patch(self, service_url: str, endpoint: str = "", **options: Any) -> httpx.Response:
        """Send a PATCH and return the response."""
        return await self.request("PATCH", service_url, endpoint, **options)

    async def delete(self, service_url: str, endpoint: str = "", **options: Any) -> httpx.Response:
        """Send a DELETE and return the response."""
        return await self.request("DELETE", service_url, endpoint, **options)

    async def get_json(self, service_url: str, endpoint: str = "", **options: Any) -> Any:
        """Send a GET and return the decoded body, None for an empty one."""
        return await self._json("GET", service_url, endpoint, options)

    async def post_json(
        self, service_url: str, endpoint: str = "", json: Any = None, **options: Any
    ) -> Any:
        """Send JSON by POST and return the decoded body, None for an empty one."""
        return await self._json("POST", service_url, endpoint, {"json": json, **options})

    async def put_json(
        self, service_url: str, endpoint: str = "", json: Any = None, **options: Any
    ) -> Any:
        """Send JSON by PUT and return the decoded body, None for an empty one."""
        return await self._json("PUT", service_url, endpoint, {"json": json, **options})

    async def patch_json(
        self, service_url: str, endpoint: str = "", json: Any = None, **options: Any
    ) -> Any:
        """Send JSON by PATCH and return the decoded body, None for an empty one."""
        return await self._json("PATCH", service_url, endpoint, {"json": json, **options})

    async def request(
        self, method: str, service_url: str, endpoint: str = "", **options: Any
    ) -> httpx.Response:
        """Send a request by this method (GET, POST ...) and return the response."""
        reply = await self._run(self._call(method, service_url, endpoint, **options), None)
        response: httpx.Response = reply.native
        return response

    # -- inside ---------------------------------------------------------------------------

    async def _json(
        self, method: str, service_url: str, endpoint: str, options: dict[str, Any]
    ) -> Any:
        call = self._call(method, service_url, endpoint, accept="application/json", **options)
        return await self._run(call, lambda reply: decoded(call, reply, reply.native.content))

    async def _run(self, call: Call, read: Callable[[Reply], Any] | None) -> Any:
        error: BaseException | None = None
        try:
            reply = await self._drive(call)
            return reply if read is None else read(reply)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._finish(call, error)

    async def _drive(self, call: Call) -> Reply:
        steps = call.steps()
        try:
            todo = next(steps)
            while True:
                done = await self._do(todo)
                # Not raised here: an error raised in turn would show this one's text behind it.
                todo = steps.throw(done) if isinstance(done, Failure) else steps.send(done)
        except StopIteration as end:
            reply: Reply = end.value
            return reply
        finally:
            steps.close()

    async def _do(self, todo: Any) -> Any:
        if isinstance(todo, Send):
            return await self._send(todo)
        if isinstance(todo, GetToken):
            return await todo.source.aget(todo.stale, todo.ends_at)
        return await asyncio.sleep(todo.seconds)

    async def _send(self, send: Send) -> Reply | Failure:
        left = send.ends_at - time.monotonic()
        try:
            with quiet():
                async with asyncio.timeout(left):
                    return await self._exchange(send)
        except Failure as failure:
            return failure
        except (httpx.HTTPError, httpx.InvalidURL, RefusedAddress, OSError, UnicodeError) as error:
            return _failure(error)

    async def _exchange(self, send: Send) -> Reply:
        try:
            client = await self._client()
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            raise misled(error) from None
        options = send.options
        request = client.build_request(
            send.method,
            send.url,
            headers=send.headers,
            content=send.body,
            timeout=httpx.Timeout(None, connect=options.connect_seconds, read=options.read_seconds),
        )
        response = await client.send(request, stream=True, follow_redirects=False, auth=_as_it_is)
        try:
            await _read(response, options.max_response_bytes)
        finally:
            await response.aclose()
        return Reply(response.status_code, response.headers, response)

    async def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        made = self._clients.get(loop)
        return made[0] if made is not None else await self._new_client(loop)

    async def _new_client(self, loop: asyncio.AbstractEventLoop) -> httpx.AsyncClient:
        for other in [other for other in tuple(self._clients) if other.is_closed()]:
            # It was closed without its asynchronous generators; see `_closing`.
            self._clients.pop(other, None)
        public = not self._allow_private
        client = _Client(
            verify=_trust(self._verify, not public),
            transport=_PublicTransport(_trust(self._verify, False)) if public else None,
            limits=_LIMITS,
            # A proxy would do the look-up of the address itself.
            trust_env=not public,
            headers={"Accept-Encoding": "gzip, deflate"},
            # Calls for different people share the client; their cookies must not.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        closing = _closing(self._clients, loop, client)
        self._clients[loop] = (client, closing)
        await anext(closing)
        return client


class _Client(httpx.AsyncClient):
    """A client that prepares no redirect, which httpx does and fails at although told not to."""

    def _build_redirect_request(
        self, request: httpx.Request, response: httpx.Response
    ) -> httpx.Request:
        return request


_Closing = AsyncGenerator[None, None]


async def _closing(clients: dict[Any, Any], loop: Any, client: httpx.AsyncClient) -> _Closing:
    """Close the client when the loop ends, which then closes what generators it has."""
    try:
        yield
    finally:
        clients.pop(loop, None)
        await client.aclose()


class _PublicBackend(httpcore.AnyIOBackend):
    """Connects to public addresses only: to one that was looked up and checked just now."""

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the host that answers. Raises RefusedAddress."""
        found = await looked_up_public(host, port)
        share = None if timeout is None else timeout / len(found)
        for address in found[:-1]:
            try:
                return await super().connect_tcp(address, port, share, *args, **kwargs)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await super().connect_tcp(found[-1], port, share, *args, **kwargs)


class _PublicTransport(httpx.AsyncHTTPTransport):
    """A pool of such connections; kept by name, since a certificate is checked against one."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        super().__init__(verify=trust, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trust,
            max_connections=_LIMITS.max_connections,
            max_keepalive_connections=_LIMITS.max_keepalive_connections,
            keepalive_expiry=_LIMITS.keepalive_expiry,
            network_backend=_PublicBackend(),
        )


@lru_cache(maxsize=16)
def _trust(verify: bool | str, trust_env: bool) -> ssl.SSLContext:
    # Kept, since reading the certificates takes longer than most calls.
    if isinstance(verify, str):
        place = "capath" if os.path.isdir(verify) else "cafile"
        return ssl.create_default_context(**{place: verify})  # type: ignore[arg-type]  # two texts
    return httpx.create_ssl_context(verify=verify, trust_env=trust_env)


def _as_it_is(request: httpx.Request) -> httpx.Request:
    return request


async def _read(response: httpx.Response, most: int | None) -> None:
    """Read the body, as much as is allowed. httpx itself unfolds whatever comes, without bound."""
    if response.request.method == "HEAD":
        await response.aread()
        return
    check_length(response.headers.get("content-length", ""), most)
    body = Body(response.headers.get("content-encoding", ""), most)
    async for piece in response.aiter_raw():
        body.add(piece)
    # As httpx does itself in `aread`.
    response._content = body.content()


def _failure(error: Exception) -> Failure:
    """Return what httpx's error means, without its text, which may show addresses or more."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return Failure("no answer in time", timed_out=True)
    if isinstance(error, RefusedAddress):
        return Failure("the address is not one of the public internet", passing=False)
    if isinstance(error, httpx.DecodingError):
        return undecompressed()
    if caused_by(error, ssl.SSLError):
        return Failure(f"no trusted connection (TLS, {root_of(error)})", passing=False)
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return Failure(f"it could not be sent ({type(error).__name__})", passing=False)
    if isinstance(error, httpx.TransportError | OSError | UnicodeError):
        return Failure(f"no connection, or it broke ({root_of(error)})")
    return Failure(f"it could not be sent ({type(error).__name__})", passing=False)
