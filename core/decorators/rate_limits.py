"""How often something may be called, in all processes together or in each."""

from __future__ import annotations

import ipaddress
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.http import HttpResponseBase

from core.decorators import counting
from core.decorators.calls import (
    Args,
    F,
    Kwargs,
    auser_id_of,
    find_request,
    name_of,
    require_number,
    user_id_of,
    wrapped,
)
from core.decorators.counting import Count
from core.exceptions import RateLimitError
from core.helpers import get_client_ip

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Rule:
    """At most `limit` calls in any `period` seconds, under a key, counted here or everywhere."""

    key: str | None
    limit: int
    period: int
    is_shared: bool
    # Sets apart the local limits without a key; processes would not agree on it.
    serial: int


def rate_limit(
    key: str | None = None,
    limit: int | None = None,
    period: int | None = None,
    *,
    max_calls: int | None = None,
    time_window: int | None = None,
    backend: str | None = None,
) -> Callable[[F], F]:
    """Raise `RateLimitError` (429) for calls beyond so many in any so many seconds.

    Either `limit` and `period`, counted in Redis for all processes together, under `key` (by
    default the dotted path of the function); or `max_calls` and `time_window`, counted by each
    process for itself. `backend` is "shared" or "local" and overrides where. Functions with the
    same key, limit and period share a count.

    Calls with a request are counted per user, or per client address when nobody is logged in
    (IPv6: per /64 network); their response has the headers `RateLimit` and `RateLimit-Policy`.
    Other calls are counted per key. The error has `retry_after` in its details, in seconds.
    While Redis is down every call is allowed. Raises TypeError or ValueError for bad options.
    """
    rule = _rule(key, limit, period, max_calls, time_window, backend)

    def decorate(function: F) -> F:
        path = name_of(function)

        def sync(args: Args, kwargs: Kwargs) -> Any:
            request = find_request(args, kwargs)
            caller = _caller(request, user_id_of(request)) if request is not None else ""
            count = _count(rule, path, caller)
            _require(rule, path, count)
            return _told(rule, path, count, function(*args, **kwargs))

        async def coroutine(args: Args, kwargs: Kwargs) -> Any:
            request = find_request(args, kwargs)
            caller = _caller(request, await auser_id_of(request)) if request is not None else ""
            count = await _acount(rule, path, caller)
            _require(rule, path, count)
            return _told(rule, path, count, await function(*args, **kwargs))

        return wrapped(function, sync=sync, coroutine=coroutine)

    return decorate


def _rule(
    key: str | None,
    limit: int | None,
    period: int | None,
    max_calls: int | None,
    time_window: int | None,
    backend: str | None,
) -> _Rule:
    if callable(key):
        raise TypeError("write @rate_limit(key=..., limit=..., period=...) with parentheses")
    if key is not None and (not isinstance(key, str) or not key):
        raise TypeError(f"key must be a text such as 'api', got {key!r}")
    if backend not in (None, "shared", "local"):
        raise ValueError(f"backend must be 'shared' or 'local', got {backend!r}")
    by_key = {"limit": limit, "period": period}
    by_process = {"max_calls": max_calls, "time_window": time_window}
    is_local = any(value is not None for value in by_process.values())
    if is_local and any(value is not None for value in (key, limit, period)):
        raise TypeError("give key, limit and period, or max_calls and time_window, not both")
    options = by_process if is_local else by_key
    for name, value in options.items():
        if value is None:
            raise TypeError(f"rate_limit needs {' and '.join(options)}: {name} is missing")
        require_number(name, value, least=1, whole=True)
    calls, seconds = options.values()
    assert calls is not None
    assert seconds is not None
    is_shared = backend == "shared" if backend else not is_local
    return _Rule(key, calls, seconds, is_shared, next(_serial))


def _caller(request: Any, user_id: str | None) -> str:
    if user_id is not None:
        # Without a slash, which parts the names in a key: else one user's could be another's.
        return f"user:{quote(user_id, safe='', errors='backslashreplace')}"
    address = get_client_ip(request)
    if address is None:
        return "ip:unknown"
    if ":" in address:
        # Whoever has one IPv6 address has all of its network.
        network = ipaddress.ip_network((address.partition("%")[0], 64), strict=False)
        return f"ip:{network.network_address}"
    return f"ip:{address}"


def _names(rule: _Rule, path: str, caller: str) -> tuple[str, ...]:
    if rule.key:
        return (rule.key, caller)
    return (path, caller) if rule.is_shared else (str(rule.serial), path, caller)


def _count(rule: _Rule, path: str, caller: str) -> Count | None:
    counter = counting.shared() if rule.is_shared else counting.local
    return counter.hit(rule.limit, rule.period, *_names(rule, path, caller))


async def _acount(rule: _Rule, path: str, caller: str) -> Count | None:
    counter = counting.shared() if rule.is_shared else counting.local
    hit = sync_to_async(counter.hit, thread_sensitive=False) if counter.blocks else None
    names = _names(rule, path, caller)
    if hit is None:
        return counter.hit(rule.limit, rule.period, *names)
    return await hit(rule.limit, rule.period, *names)


def _require(rule: _Rule, path: str, count: Count | None) -> None:
    if count is None or count.allowed:
        return
    seconds = max(1, math.ceil(count.reset))
    raise RateLimitError(
        f"At most {rule.limit} calls in {rule.period} s are allowed; try again in {seconds} s.",
        retry_after=seconds,
        details={"limit": rule.limit, "period": rule.period},
        headers=_headers(rule, path, count),
    )


def _told(rule: _Rule, path: str, count: Count | None, result: Any) -> Any:
    if count is not None and isinstance(result, HttpResponseBase):
        for name, value in _headers(rule, path, count).items():
            # Each of several limits has an item of its own in the list.
            result[name] = f"{result[name]}, {value}" if name in result else value
    return result


def _headers(rule: _Rule, path: str, count: Count) -> dict[str, str]:
    """Return the header fields of draft-ietf-httpapi-ratelimit-headers-10."""
    name = _quoted(rule.key or path.rpartition(".")[2])
    return {
        "RateLimit-Policy": f"{name};q={rule.limit};w={rule.period}",
        "RateLimit": f"{name};r={count.remaining};t={math.ceil(count.reset)}",
    }


def _quoted(text: str) -> str:
    printable = text.encode("ascii", "replace").decode()
    escaped = printable.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else "?" for c in escaped) + '"'
