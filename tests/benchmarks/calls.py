"""Calls to another service, in the process of a driver."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import requests

from core.clients import HTTPClient


def bare(*, url: str, times: int) -> float:
    """Return the seconds of a call through requests alone, with the same limit of time."""
    session = _session()
    return _mean(lambda: session.get(f"{url}/ping", timeout=5), times)


def ours(*, url: str, times: int) -> float:
    """Return the seconds of a call through HTTPClient."""
    client = _client()
    return _mean(lambda: client.get(url, "ping"), times)


@cache
def _session() -> requests.Session:
    return requests.Session()


@cache
def _client() -> HTTPClient:
    return HTTPClient()


def _mean(call: Callable[[], object], times: int) -> float:
    call()
    started = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - started) / times
