"""AsyncHTTPClient: the twin of HTTPClient for event loops, on httpx."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx

from core.clients import urls
from core.clients.addresses import RefusedAddress, public_address
from core.clients.base import BaseClient, decoded
from core.clients.call import Call, Failure, GetToken, Reply, Send, caused_by
from core.clients.connections import POOL_SIZE

_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=POOL_SIZE)


class AsyncHTTPClient(BaseClient):
    """Calls other services from coroutines; everything else is as with `HTTPClient`.

    It returns the `httpx.Response`, its body read. A client may be used in several event loops;
    each has connections of its own, closed by `aclose()` in that loop.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]
        self._clients = WeakKeyDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next call opens new ones."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

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
        options["headers"] = {"Accept": "application/json", **(options.get("headers") or {})}
        call = self._call(method, service_url, endpoint, **options)
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
                try:
                    done = await self._do(todo)
                except Failure as failure:
                    todo = steps.throw(failure)
                else:
                    todo = steps.send(done)
        except StopIteration as end:
            reply: Reply = end.value
            return reply
        finally:
            steps.close()

    async def _do(self, todo: Any) -> Any:
        if isinstance(todo, Send):
            return await self._send(todo)
        if isinstance(todo, GetToken):
            return await todo.source.aget(todo.stale)
        return await asyncio.sleep(todo.seconds)

    async def _send(self, send: Send) -> Reply:
        left = send.ends_at - time.monotonic()
        if left <= 0:
            raise Failure("the time was over before it was sent", timed_out=True)
        try:
            async with asyncio.timeout(left):
                return await self._exchange(send)
        except (httpx.HTTPError, httpx.InvalidURL, RefusedAddress, OSError) as error:
            raise _failure(error) from error

    async def _exchange(self, send: Send) -> Reply:
        url, headers = send.url, send.headers
        extensions: dict[str, Any] = {}
        if not self._allow_private:
            url, headers, extensions = await _pinned(send)
        client = self._client()
        arguments = dict(send.arguments)
        if "data" in arguments and isinstance(arguments["data"], bytes | str):
            arguments["content"] = arguments.pop("data")
        seconds = send.options.connect_seconds
        request = client.build_request(
            send.method,
            url,
            headers=headers,
            timeout=httpx.Timeout(None, connect=seconds),
            extensions=extensions,
            **arguments,
        )
        response = await client.send(request, stream=True, follow_redirects=False, auth=_as_it_is)
        try:
            await _read(response, send.options.max_response_bytes)
        finally:
            await response.aclose()
        return Reply(response.status_code, response.headers, response)

    def _trust(self) -> ssl.SSLContext | bool:
        if isinstance(self._verify, str):
            return ssl.create_default_context(cafile=self._verify)
        return self._verify

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = httpx.AsyncClient(
                verify=self._trust(),
                limits=_LIMITS,
                # A proxy would do the look-up of the address itself.
                trust_env=self._allow_private,
                # Calls for different people share the client; their cookies must not.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        return client


def _as_it_is(request: httpx.Request) -> httpx.Request:
    return request


async def _pinned(send: Send) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the request for an address looked up now, so that it cannot become another one."""
    parts = urlsplit(send.url)
    assert parts.hostname  # since `urls` has checked it
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = await asyncio.to_thread(public_address, parts.hostname, port)
    address = f"[{address}]" if ":" in address else address
    url = parts._replace(netloc=f"{address}:{port}").geturl()
    host = {"Host": urls.service(send.url)}
    return url, send.headers | host, {"sni_hostname": parts.hostname}


async def _read(response: httpx.Response, most: int | None) -> None:
    """Read the body, as much as is allowed."""
    length = response.headers.get("content-length", "")
    if most is None or response.request.method == "HEAD":
        await response.aread()
        return
    if length.isdigit() and int(length) > most:
        raise Failure(f"an answer of more than {most} bytes", passing=False)
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > most:
            raise Failure(f"an answer of more than {most} bytes", passing=False)
        chunks.append(chunk)
    # As httpx does itself in `aread`, which has no bound.
    response._content = b"".join(chunks)


def _failure(error: Exception) -> Failure:
    """Return what httpx's error means, without its text, which may show addresses or more."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return Failure("no answer in time", timed_out=True)
    if isinstance(error, RefusedAddress):
        return Failure("the address is not one of the public internet", passing=False)
    if isinstance(error, httpx.DecodingError):
        return Failure("an answer that cannot be decompressed", passing=False)
    if caused_by(error, ssl.SSLError):
        return Failure("no trusted connection (TLS)", passing=False)
    if isinstance(error, httpx.TransportError | OSError):
        return Failure("no connection, or it broke")
    return Failure(f"it could not be sent ({type(error).__name__})", passing=False)
