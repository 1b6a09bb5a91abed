"""What the sync and the async client share: options, tokens, and the record of each call."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

import orjson
from django.utils.functional import Promise

from core.clients import headers as header
from core.clients import urls
from core.clients.call import METHODS, Call, Reply, outcome_of, undecodable
from core.clients.options import Options
from core.clients.signals import external_call_finished
from core.clients.tokens import Provider, source_of
from core.plain_signals import tell
from core.utils.logger import log_external_service_call

_LIMITS = frozenset({"timeout", "deadline", "attempts", "backoff", "max_response_bytes"})
_JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_ABSENT: Any = object()


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
        self._breaker = _flag("circuit_breaker", circuit_breaker)
        # A text such as "no" would let everything pass.
        self._allow_private = _flag("allow_private", allow_private)
        self._verify = _checked(verify)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._options})"

    def _call(
        self,
        method: str,
        service_url: str,
        endpoint: str,
        *,
        params: urls.Params | None = None,
        json: Any = _ABSENT,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        token: str | Provider | None = None,
        idempotency_key: str | None = None,
        accept: str | None = None,
        **limits: Any,
    ) -> Call:
        url = urls.joined(service_url, endpoint)
        body, kind = _encoded(json, data)
        layers = [kind, self._headers, header.given(headers)]
        if accept is not None:
            layers.insert(0, {"Accept": accept})
        return Call(
            method=_known(method),
            url=url if params is None else urls.with_params(url, params),
            headers=header.merged(*layers) if any(layers) else {},
            body=body,
            options=self._options.changed(_only(limits, _LIMITS)),
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
        tell(external_call_finished, type(self), **told)


def decoded(call: Call, reply: Reply, content: bytes) -> Any:
    """Return the JSON of a reply, None for an empty one. Raises ExternalServiceError."""
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        # Not from that one, which carries the whole answer.
        raise undecodable(call, reply, error.msg) from None


def _known(method: str) -> str:
    known = method.upper() if isinstance(method, str) else None
    if known not in METHODS:
        raise ValueError(f"method {method!r:.100}: give one of {', '.join(METHODS)}")
    return known


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name}={value!r}: give True or False")
    return value


def _checked(verify: bool | str) -> bool | str:
    if not isinstance(verify, bool | str):
        raise TypeError(f"verify is {type(verify).__name__}; give a bool, or the path of a bundle")
    if isinstance(verify, str) and not os.path.exists(verify):
        raise ValueError(f"verify={verify!r}: there is no such file of certificates")
    return verify


def _encoded(json: Any, data: Any) -> tuple[bytes | None, dict[str, str]]:
    """Return the body, which can be sent again, and the header that says what it is."""
    if json is not _ABSENT:
        if data is not None:
            raise TypeError("give either json or data")
        try:
            body = orjson.dumps(json, default=_plain)
        except orjson.JSONEncodeError as error:
            raise TypeError(f"json: {error.__cause__ or error}") from None
        # orjson writes null for what is no number.
        if b"null" in body and not _is_finite(json):
            raise ValueError("json: NaN and infinity have no JSON form; send None or a text")
        return body, _JSON
    if data is None or isinstance(data, bytes):
        return data, {}
    if isinstance(data, str):
        return data.encode(), {}
    if isinstance(data, Mapping | list | tuple):
        return urls.encoded("data", data).encode(), _FORM
    raise TypeError(f"data is {type(data).__name__}; give bytes, a text, or the fields of a form")


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if is_dataclass(value):
        return all(_is_finite(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(_is_finite, value))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"{value} has no JSON form; send None or a text")
    if isinstance(value, Decimal | Promise):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _only(given: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; the limits are {', '.join(sorted(known))}")
    return given
