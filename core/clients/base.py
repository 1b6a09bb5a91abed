"""What the sync and the async client share: options, tokens, and the record of each call."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from django.utils.functional import Promise

from core.clients import headers as header
from core.clients import urls
from core.clients.call import Call, Reply, outcome_of, undecodable
from core.clients.options import Options
from core.clients.signals import external_call_finished
from core.clients.tokens import Provider, source_of
from core.utils.logger import log_external_service_call

_LIMITS = frozenset({"timeout", "deadline", "attempts", "backoff", "max_response_bytes"})
# What goes to the library as it is.
_BODY = frozenset({"params", "json", "data"})


class BaseClient:
    """The configuration of a client; see `HTTPClient`."""

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
        self._options = Options(**_only(limits, _LIMITS | {"max_redirects"}))
        self._given_token = token
        self._token = None if token is None else source_of(token)
        self._headers = header.given(headers)
        self._breaker = circuit_breaker
        self._allow_private = allow_private
        self._verify = verify

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._options})"

    def _call(
        self,
        method: str,
        service_url: str,
        endpoint: str,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | Provider | None = None,
        idempotency_key: str | None = None,
        **rest: Any,
    ) -> Call:
        body = {name: rest.pop(name) for name in _BODY & rest.keys()}
        limits = _only(rest, _LIMITS)
        return Call(
            method=method,
            url=urls.joined(service_url, endpoint),
            headers=self._headers | header.given(headers) | _encode(body),
            arguments=body,
            options=self._options.changed(limits),
            tokens=source_of(token) if token is not None else self._token or source_of(None),
            idempotency_key=idempotency_key,
            breaker=self._breaker,
        )

    def _finish(self, call: Call, error: BaseException | None) -> None:
        """Log the call and tell listeners; nothing of that reaches the caller."""
        told = call.details() | {
            "status": call.status,
            "duration": time.monotonic() - call.started,
            "outcome": outcome_of(error),
        }
        log_external_service_call(**told)
        if external_call_finished.receivers:
            external_call_finished.send_robust(sender=type(self), **told)


def decoded(call: Call, reply: Reply, content: bytes) -> Any:
    """Return the JSON of a reply, None for an empty one. Raises ExternalServiceError."""
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise undecodable(call, reply, error.msg) from error


def _encode(body: dict[str, Any]) -> dict[str, str]:
    """Replace `json` by its text in place; return the header that says so."""
    if "json" not in body:
        return {}
    if "data" in body:
        raise TypeError("give either json or data")
    try:
        body["data"] = orjson.dumps(body.pop("json"), default=_plain)
    except orjson.JSONEncodeError as error:
        raise TypeError(f"json: {error}") from error
    return {"Content-Type": "application/json"}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal | Promise):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _only(given: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; the limits are {', '.join(sorted(known))}")
    return given
