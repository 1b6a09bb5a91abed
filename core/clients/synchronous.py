"""HTTPClient: calls to other services from threads, on requests."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self

import requests
from requests import exceptions as trouble
from urllib3 import exceptions as pool_trouble

from core.clients.addresses import RefusedAddress
from core.clients.base import BaseClient, decoded
from core.clients.call import Call, Failure, GetToken, Reply, Send, caused_by, misled, root_of
from core.clients.connections import Session, WatchedAdapter, current
from core.clients.decoding import check_length, too_large, undecompressed
from core.clients.options import Options
from core.clients.quiet import quiet
from core.clients.tokens import Provider
from core.clients.watchdog import Limit, watchdog

# A UnicodeError is what the system says of a name that can be none.
_TROUBLE = (
    trouble.RequestException,
    pool_trouble.HTTPError,
    RefusedAddress,
    OSError,
    UnicodeError,
)
_CHUNK = 64 * 1024


class HTTPClient(BaseClient):
    """Calls other services over HTTP: bounded in time, retried, traced; safe to share by threads.

    Every method takes a service's address and an endpoint, which are joined by one slash, and by
    keyword `params`, `json` or `data`, `headers`, `token`, `idempotency_key`, and the limits of
    `Options` (`timeout`, `deadline`, `attempts`, `backoff`, `max_response_bytes`) for this call.
    It returns the `requests.Response`, its body read.

    Tried again is what may pass: no connection, no answer in time, 429, 502, 503, 504; for POST and
    PATCH only with an `idempotency_key`, since the first try may have worked.

    `token` is a text, "" for none, or a provider (see `TokenSource`); without one the settings
    SERVICE_AUTH_TOKEN or SERVICE_TOKEN_PROVIDER say. `allow_private=False` refuses addresses that
    are not of the public internet: for addresses that users give.

    Raises ExternalServiceError (with `.response`, if there was one), ServiceTimeoutError or
    CircuitOpenError, and ValueError or TypeError for arguments that make no request.
    """

    def __init__(
        self,
        *,
        token: str | Provider | None = None,
        headers: Mapping[str, str] | None = None,
        circuit_breaker: bool = True,
        allow_private: bool = True,
        verify: bool | str = True,
        **limits: Any,
    ) -> None:
        super().__init__(
            token=token,
            headers=headers,
            circuit_breaker=circuit_breaker,
            allow_private=allow_private,
            verify=verify,
            **limits,
        )
        # By process, since connections must not be shared with a parent.
        self._sessions: dict[int, requests.Session] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        session = self._sessions.pop(os.getpid(), None)
        if session is not None:
            session.close()

    def get(self, service_url: str, endpoint: str = "", **options: Any) -> requests.Response:
        """Send a GET and return the response."""
        return self.request("GET", service_url, endpoint, **options)

    def head(self, service_url: str, endpoint: str = "", **options: Any) -> requests.Response:
        """Send a HEAD and return the response."""
        return self.request("HEAD", service_url, endpoint, **options)

    def options(self, service_url: str, endpoint: str = "", **options: Any) -> requests.Response:
        """Send an OPTIONS and return the response."""
        return self.request("OPTIONS", service_url, endpoint, **options)

    def post(self, service_url: str, endpoint: str = "", **options: Any) -> requests.Response:
        """Send a POST and return the response."""
        return self.request("POST", service_url, endpoint, **options)

    def put(self, service_url: str, endpoint: str = "", **options: Any) -> requests.Response:
        """Send a PUT and return the response."""
        return self.request("PUT", service_url, endpoint, **options)

    def patch(self, service_url: str, endpoint: str = "", **options: Any) -> requests.Response:
        """Send a PATCH and return the response."""
        return self.request("PATCH", service_url, endpoint, **options)

    def delete(self, service_url: str, endpoint: str = "", **options: Any) -> requests.Response:
        """Send a DELETE and return the response."""
        return self.request("DELETE", service_url, endpoint, **options)

    def get_json(self, service_url: str, endpoint: str = "", **options: Any) -> Any:
        """Send a GET and return the decoded body, None for an empty one."""
        return self._json("GET", service_url, endpoint, options)

    def post_json(
        self, service_url: str, endpoint: str = "", json: Any = None, **options: Any
    ) -> Any:
        """Send JSON by POST and return the decoded body, None for an empty one."""
        return self._json("POST", service_url, endpoint, {"json": json, **options})

    def put_json(
        self, service_url: str, endpoint: str = "", json: Any = None, **options: Any
    ) -> Any:
        """Send JSON by PUT and return the decoded body, None for an empty one."""
        return self._json("PUT", service_url, endpoint, {"json": json, **options})

    def patch_json(
        self, service_url: str, endpoint: str = "", json: Any = None, **options: Any
    ) -> Any:
        """Send JSON by PATCH and return the decoded body, None for an empty one."""
        return self._json("PATCH", service_url, endpoint, {"json": json, **options})

    def request(
        self, method: str, service_url: str, endpoint: str = "", **options: Any
    ) -> requests.Response:
        """Send a request by this method (GET, POST ...) and return the response."""
        response: requests.Response = self._run(
            self._call(method, service_url, endpoint, **options), None
        ).native
        return response

    # -- inside ---------------------------------------------------------------------------

    def _json(self, method: str, service_url: str, endpoint: str, options: dict[str, Any]) -> Any:
        call = self._call(method, service_url, endpoint, accept="application/json", **options)
        return self._run(call, lambda reply: decoded(call, reply, reply.native.content))

    def _run(self, call: Call, read: Any) -> Any:
        error: BaseException | None = None
        try:
            reply = self._drive(call)
            return reply if read is None else read(reply)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._finish(call, error)

    def _drive(self, call: Call) -> Reply:
        steps = call.steps()
        try:
            todo = next(steps)
            while True:
                done = self._do(todo)
                # Not raised here: an error raised in turn would show this one's text behind it.
                todo = steps.throw(done) if isinstance(done, Failure) else steps.send(done)
        except StopIteration as end:
            reply: Reply = end.value
            return reply
        finally:
            steps.close()

    def _do(self, todo: Any) -> Any:
        if isinstance(todo, Send):
            return self._send(todo)
        if isinstance(todo, GetToken):
            return todo.source.get(todo.stale, todo.ends_at)
        return _pause(todo.seconds)

    def _send(self, send: Send) -> Reply | Failure:
        outer = current.limit
        with quiet(), watchdog.limit(send.ends_at) as limit:
            current.limit = limit
            try:
                reply = self._exchange(send)
            except Failure as failure:
                return failure
            except _TROUBLE as error:
                return _failure(error, limit)
            finally:
                current.limit = outer
            if limit.expired:
                # A head that is cut off looks complete to Python's parser.
                reply.native.close()
                return _too_late()
            return reply

    def _exchange(self, send: Send) -> Reply:
        left = max(send.ends_at - time.monotonic(), 0.001)
        options = send.options
        response = self._session().request(
            send.method,
            send.url,
            headers=send.headers,
            data=send.body,
            timeout=(min(options.connect_seconds, left), min(options.read_seconds, left)),
            allow_redirects=False,
            # Here, not at the session, where requests lets the environment go first.
            verify=self._verify,
            stream=True,
            # Without one requests would look for credentials in ~/.netrc and replace the token.
            auth=_as_it_is,
        )
        try:
            _read(response, options)
        except BaseException:
            response.close()
            raise
        return Reply(response.status_code, response.headers, response)

    def _session(self) -> requests.Session:
        process = os.getpid()
        session = self._sessions.get(process)
        if session is None:
            # A parent's connections would stay open for as long as the child holds them, too.
            for other in tuple(self._sessions.keys() - {process}):
                self._sessions.pop(other, None)
            # Of two threads one is told the other's; its own had no connection yet.
            session = self._sessions.setdefault(process, self._new_session())
        return session

    def _new_session(self) -> requests.Session:
        session = Session()
        adapter = WatchedAdapter(allow_private=self._allow_private)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        # A proxy would do the look-up of the address itself.
        session.trust_env = self._allow_private
        session.headers["Accept-Encoding"] = "gzip, deflate"
        # Calls for different people share the session; their cookies must not.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session


def _as_it_is(request: Any) -> Any:
    return request


def _pause(seconds: float) -> None:
    time.sleep(seconds)


def _read(response: requests.Response, options: Options) -> None:
    """Read the body, as much as is allowed."""
    most = options.max_response_bytes
    if most is None or response.request.method == "HEAD":
        _ = response.content
        return
    check_length(response.headers.get("content-length", ""), most)
    chunks, size = [], 0
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if size > most:
            raise too_large(most)
        chunks.append(chunk)
    # As requests does itself in `content`, which has no bound.
    response._content = b"".join(chunks)
    response._content_consumed = True


def _too_late() -> Failure:
    return Failure("no answer in time", timed_out=True)


def _failure(error: Exception, limit: Limit) -> Failure:
    """Return what a library's error means, without its text, which may show addresses or more."""
    if limit.expired or isinstance(
        error, trouble.Timeout | pool_trouble.TimeoutError | TimeoutError
    ):
        return _too_late()
    if caused_by(error, RefusedAddress):
        return Failure("the address is not one of the public internet", passing=False)
    if isinstance(error, trouble.InvalidSchema | trouble.InvalidProxyURL):
        # Of the proxy, SOCKS without its package say: the address itself was looked at before.
        return misled(error)
    if isinstance(error, trouble.SSLError | pool_trouble.SSLError):
        return Failure(f"no trusted connection (TLS, {root_of(error)})", passing=False)
    if isinstance(error, trouble.ContentDecodingError | pool_trouble.DecodeError):
        return undecompressed()
    broken = trouble.ConnectionError | trouble.ChunkedEncodingError
    if isinstance(error, broken) or not isinstance(error, trouble.RequestException):
        return Failure(f"no connection, or it broke ({root_of(error)})")
    return Failure(f"it could not be sent ({type(error).__name__})", passing=False)
