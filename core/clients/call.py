"""One call, without input or output: what is to be done next, whatever library does it.

`steps()` is a generator. It yields what has to be done (fetch a token, send a request, wait), is
sent the outcome, and returns the reply or raises an error of `core.exceptions`.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from core.clients import headers as header
from core.clients import urls
from core.clients.breaker import circuits
from core.clients.budget import budgets
from core.clients.options import Options
from core.clients.tokens import Source, TokenSource
from core.exceptions import CircuitOpenError, ExternalServiceError, ServiceTimeoutError

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
PASSING = frozenset({429, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LONGEST_KEY = 255
# Where no deadline says it; a service that wants more is left until the next call.
LONGEST_RETRY_AFTER = 60.0


@dataclass(slots=True)
class GetToken:
    """To do: get a token, another one than `stale`."""

    source: Source
    ends_at: float
    stale: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class Send:
    """To do: send this request and read the whole reply until `ends_at` (monotonic seconds)."""

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    options: Options
    ends_at: float


@dataclass(slots=True)
class Wait:
    """To do: wait so many seconds."""

    seconds: float


@dataclass(slots=True)
class Reply:
    """Done: an answer, with the library's own response."""

    status: int
    headers: Mapping[str, str]
    native: Any


class Failure(Exception):
    """Done: there was no usable answer. `text` shows nothing secret."""

    def __init__(self, text: str, *, passing: bool = True, timed_out: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.passing = passing
        self.timed_out = timed_out


def misled(error: Exception) -> Failure:
    """Return the failure of what a variable of the environment names, but cannot be used."""
    text = "the proxy (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) or the certificates (SSL_CERT_FILE, "
    text += "REQUESTS_CA_BUNDLE) that the environment names cannot be used"
    return Failure(f"{text} ({type(error).__name__})", passing=False)


Steps = Generator[GetToken | Send | Wait, Any, Reply]


@dataclass(slots=True)
class Call:
    """A call to a service: its attempts, redirects, token and limits."""

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    options: Options
    tokens: Source
    idempotency_key: str | None = field(repr=False)
    breaker: bool
    attempts: int = 0
    status: int | None = None
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        key = self.idempotency_key
        if key is not None and not (
            isinstance(key, str) and 0 < len(key.strip()) <= _LONGEST_KEY and header.fits(key)
        ):
            raise ValueError(
                f"idempotency_key={key!r:.300}: give 1 to {_LONGEST_KEY} printable ASCII characters"
            )

    @property
    def ends_at(self) -> float:
        deadline = self.options.deadline
        return float("inf") if deadline is None else self.started + deadline

    def steps(self) -> Steps:
        """Say what to do next until there is a reply; see the module."""
        budget = budgets.of(urls.origin(self.url))
        budget.called()
        token = yield GetToken(self.tokens, self.ends_at)
        renewed = False
        while True:
            self.attempts += 1
            try:
                reply = yield from self._attempt(token)
            except Failure as failure:
                error, pause, passing = self._failed(failure), None, failure.passing
            else:
                if reply.status < 400:
                    return reply
                if reply.status == 401 and not renewed and isinstance(self.tokens, TokenSource):
                    renewed = True
                    fresh = yield GetToken(self.tokens, self.ends_at, token)
                    if fresh != token:
                        token = fresh
                        continue
                error, passing = self._refused(reply), reply.status in PASSING
                pause = _retry_after(reply)
            may_repeat = passing and self._is_repeatable() and self.attempts < self.options.attempts
            seconds = self.options.pause(self.attempts)
            if pause is not None:
                may_repeat = may_repeat and pause <= LONGEST_RETRY_AFTER
                # Who says when to come again is not asked before; the jitter keeps callers apart.
                seconds = pause + min(seconds, 1.0)
            in_time = time.monotonic() + seconds < self.ends_at
            if not (may_repeat and in_time and budget.take()):
                raise error
            yield Wait(seconds)

    def _attempt(self, token: str) -> Steps:
        url, method, body = self.url, self.method, self.body
        headers = header.complete(self.headers, token, self.idempotency_key)
        ends_at = min(time.monotonic() + self.options.attempt_seconds, self.ends_at)
        for _ in range(self.options.max_redirects + 1):
            reply = yield from self._send(Send(method, url, headers, body, self.options, ends_at))
            location = reply.headers.get("location")
            if reply.status not in _REDIRECTS or not location:
                return reply
            if _asks_for_result(reply.status, method):
                method, body, headers = "GET", None, header.bodiless(headers)
            elsewhere = self._redirected(url, location)
            if urls.origin(elsewhere) != urls.origin(url):
                headers = header.public(headers)
            url = elsewhere
        raise Failure(f"more than {self.options.max_redirects} redirects", passing=False)

    def _send(self, send: Send) -> Generator[Send, Reply, Reply]:
        if time.monotonic() >= send.ends_at:
            # Not the service's fault, so its circuit does not hear of it.
            raise Failure("the time was over before it was sent", timed_out=True)
        reply = yield from self._tried(send) if self.breaker else _just(send)
        self.status = reply.status
        return reply

    def _tried(self, send: Send) -> Generator[Send, Reply, Reply]:
        """Send it if the circuit of its origin lets it pass, which learns from the outcome."""
        try:
            with circuits.of(urls.origin(send.url)).trial() as trial:
                try:
                    reply = yield send
                except Failure as failure:
                    trial.ok = False if failure.passing else None
                    raise
                trial.ok = reply.status < 500
        except CircuitOpenError as error:
            self.attempts -= 1
            self.status = None
            error.details |= self.details()
            raise
        return reply

    @staticmethod
    def _redirected(url: str, location: str) -> str:
        try:
            elsewhere = urls.redirected(url, location)
        except ValueError:
            raise Failure("a redirect to what is no address", passing=False) from None
        if urlsplit(url).scheme == "https" and urlsplit(elsewhere).scheme != "https":
            raise Failure("a redirect from https to http", passing=False)
        return elsewhere

    def _is_repeatable(self) -> bool:
        return self.method in IDEMPOTENT or self.idempotency_key is not None

    def _failed(self, failure: Failure) -> ExternalServiceError:
        self.status = None
        kind = ServiceTimeoutError if failure.timed_out else ExternalServiceError
        return kind(f"{self._named()}: {failure.text}", details=self.details())

    def _refused(self, reply: Reply) -> ExternalServiceError:
        text = f"{self._named()} answered {reply.status}"
        error = ExternalServiceError(text, details=self.details() | {"status": reply.status})
        error.response = without_secrets(reply.native)
        return error

    def _named(self) -> str:
        return f"{self.method} {urls.shown(self.url)}"

    def details(self) -> dict[str, Any]:
        """Return what errors and logs tell of the call; nothing in it is secret."""
        return {
            "service": urls.service(self.url),
            "method": self.method,
            "path": urls.path(self.url),
            "attempts": self.attempts,
        }


def _just(send: Send) -> Generator[Send, Reply, Reply]:
    return (yield send)


def _asks_for_result(status: int, method: str) -> bool:
    """Tell whether a redirect means a GET; a PUT or DELETE that became one would be lost."""
    return (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST")


def root_of(error: BaseException) -> str:
    """Return the kind of the error behind all others, without its text."""
    seen = [error]
    while (inner := seen[-1].__cause__ or seen[-1].__context__) and inner not in seen:
        seen.append(inner)
    return type(seen[-1]).__name__


def caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Tell whether an error of this kind is behind another one."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, kind):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def undecodable(call: Call, reply: Reply, why: str) -> ExternalServiceError:
    """Return the error for an answer that is not what it should be."""
    error = ExternalServiceError(
        f"{call.method} {urls.shown(call.url)} answered what is not JSON: {why}",
        code="INVALID_RESPONSE",
        details=call.details() | {"status": reply.status},
    )
    error.response = without_secrets(reply.native)
    return error


def without_secrets(native: Any) -> Any:
    """Return a response that says no more who asked: an error is logged, pickled and passed on."""
    native.request.headers.clear()
    return native


def outcome_of(error: BaseException | None) -> str:
    """Return "ok", or the code of the error."""
    if error is None:
        return "ok"
    return error.error_code if isinstance(error, ExternalServiceError) else type(error).__name__


def _retry_after(reply: Reply) -> float | None:
    """Return the seconds that the service asks to wait, or None."""
    text = (reply.headers.get("retry-after") or "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError, OSError):
        return None
