"""A policy, as settings and views write it, and the header that it becomes."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject, empty

# Directive to sources, as in {"default-src": [CSP.SELF]}. True is a directive without sources,
# None or False leaves it out.
Policy = Mapping[str, Any]


class CSP(StrEnum):
    """The sources that have a name, the place of the nonce, and the two headers."""

    HEADER_ENFORCE = "Content-Security-Policy"
    HEADER_REPORT_ONLY = "Content-Security-Policy-Report-Only"

    NONE = "'none'"
    REPORT_SAMPLE = "'report-sample'"
    SELF = "'self'"
    STRICT_DYNAMIC = "'strict-dynamic'"
    UNSAFE_EVAL = "'unsafe-eval'"
    UNSAFE_HASHES = "'unsafe-hashes'"
    UNSAFE_INLINE = "'unsafe-inline'"
    WASM_UNSAFE_EVAL = "'wasm-unsafe-eval'"

    # Replaced in each response by the nonce of its request.
    NONCE = "<CSP_NONCE_SENTINEL>"


class LazyNonce(SimpleLazyObject):  # type: ignore[type-arg]  # not generic at run time
    """The nonce of one request: made when something first prints it, and until then false."""

    def __init__(self) -> None:
        super().__init__(_new_nonce)

    def __bool__(self) -> bool:
        return self._wrapped is not empty


def _new_nonce() -> str:
    return secrets.token_urlsafe(16)


def get_nonce(request: HttpRequest) -> LazyNonce | None:
    """Return the nonce of a request; None where the middleware is not installed."""
    return getattr(request, "_csp_nonce", None)


def build_policy(config: Policy, nonce: LazyNonce | str | None = None) -> str:
    """Return the value of the header.

    Without a nonce that was used, `CSP.NONCE` is left out, and a directive of nothing else with it.
    """
    parts = []
    for directive, sources in config.items():
        if sources is None or sources is False:
            continue
        if sources is True:
            parts.append(directive)
        elif given := _sources(sources, nonce):
            parts.append(f"{directive} {' '.join(given)}")
    return "; ".join(parts)


def _sources(sources: Any, nonce: LazyNonce | str | None) -> Iterable[str]:
    if isinstance(sources, set | frozenset):
        # In one order, so that two answers to one request are equal.
        sources = sorted(sources)
    elif not isinstance(sources, list | tuple):
        sources = [sources]
    if CSP.NONCE not in sources:
        return list(sources)
    if nonce:
        return [f"'nonce-{nonce}'" if each == CSP.NONCE else each for each in sources]
    return [each for each in sources if each != CSP.NONCE]
