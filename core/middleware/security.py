"""Headers that keep browsers from doing what a page did not mean.

Those of Django's own middleware are added here too, by the same settings, so that a project without
it has them; and of Content-Security-Policy and the like, which Django 5 has none:

    SECURE_CSP, SECURE_CSP_REPORT_ONLY       as in Django 6, see `core.csp`
    PERMISSIONS_POLICY                       see `core.permissions_policy`
    SECURE_CROSS_ORIGIN_RESOURCE_POLICY      who may embed answers: "same-origin" and so on
    SECURE_CROSS_ORIGIN_EMBEDDER_POLICY      what pages may embed: "require-corp" and so on

Each is sent unless it is empty or missing. What a view set stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.csp.policy import CSP, LazyNonce, Policy, build_policy
from core.middleware.base import Middleware
from core.permissions_policy import permissions_header

_UNSET: Any = object()
_HSTS = "Strict-Transport-Security"
_FRAMES = "X-Frame-Options"
# Each with what a view's response is marked with, and the setting.
_POLICIES = (
    (CSP.HEADER_ENFORCE.value, "_csp_config", "SECURE_CSP"),
    (CSP.HEADER_REPORT_ONLY.value, "_csp_ro_config", "SECURE_CSP_REPORT_ONLY"),
)
# Statuses of Django's pages for developers, which have styles and scripts in them.
_DEBUG_PAGES = frozenset({400, 404, 500})


class SecurityHeadersMiddleware(Middleware):
    """Adds the security headers that a response does not have yet."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self._always = list(_always())
        self._hsts = _hsts()
        self._known = [
            (config, build_policy(config))
            for _, _, setting in _POLICIES
            if (config := _setting(setting))
        ]

    def __call__(self, request: HttpRequest) -> Any:
        request._csp_nonce = LazyNonce()  # type: ignore[attr-defined]  # Django 6's name
        return super().__call__(request)

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        self._complete(request, response)
        return response

    async def aserve(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await self.get_response(request)
        self._complete(request, response)
        return response

    def _complete(self, request: HttpRequest, response: HttpResponseBase) -> None:
        for name, value in self._always:
            response.headers.setdefault(name, value)
        if _FRAMES not in response and not getattr(response, "xframe_options_exempt", False):
            response.headers[_FRAMES] = settings.X_FRAME_OPTIONS.upper()
        if self._hsts and _HSTS not in response and request.is_secure():
            response.headers[_HSTS] = self._hsts
        # A browser replaces the headers of the page that it has by those of a 304, and the nonce in
        # that page would no longer be the one of the policy.
        if response.status_code != 304 and not _is_debug_page(response):
            self._add_policies(request, response)

    def _add_policies(self, request: HttpRequest, response: HttpResponseBase) -> None:
        for header, mark, setting in _POLICIES:
            config = getattr(response, mark, _UNSET)
            if config is _UNSET:
                config = _setting(setting)
            if config and header not in response:
                response.headers[header] = self._built(config, _nonce(request, response))

    def _built(self, config: Policy, nonce: LazyNonce) -> str:
        if not nonce:
            # Nearly every response: that of the settings, without a nonce.
            for known, header in self._known:
                if known is config:
                    return header
        return build_policy(config, nonce)


def _nonce(request: HttpRequest, response: HttpResponseBase) -> LazyNonce:
    nonce: LazyNonce = request._csp_nonce  # type: ignore[attr-defined]  # set above
    if response.streaming:
        # Whether a page uses it shows only after its headers have gone.
        str(nonce)
    return nonce


def _is_debug_page(response: HttpResponseBase) -> bool:
    return bool(
        settings.DEBUG
        and response.status_code in _DEBUG_PAGES
        and response.get("Content-Type", "").startswith("text/html")
    )


def _always() -> Iterator[tuple[str, str]]:
    """Return the headers that are the same in every response."""
    for name, value in (
        ("X-Content-Type-Options", "nosniff" if settings.SECURE_CONTENT_TYPE_NOSNIFF else None),
        ("Referrer-Policy", _referrer_policy()),
        ("Cross-Origin-Opener-Policy", settings.SECURE_CROSS_ORIGIN_OPENER_POLICY),
        ("Cross-Origin-Resource-Policy", _setting("SECURE_CROSS_ORIGIN_RESOURCE_POLICY")),
        ("Cross-Origin-Embedder-Policy", _setting("SECURE_CROSS_ORIGIN_EMBEDDER_POLICY")),
        ("Permissions-Policy", permissions_header(_setting("PERMISSIONS_POLICY") or {})),
    ):
        if value:
            yield name, value


def _setting(name: str) -> Any:
    return getattr(settings, name, None)


def _referrer_policy() -> str:
    given: Any = settings.SECURE_REFERRER_POLICY or ""
    return ",".join(
        each.strip() for each in (given.split(",") if isinstance(given, str) else given)
    )


def _hsts() -> str:
    if not settings.SECURE_HSTS_SECONDS:
        return ""
    parts = [f"max-age={settings.SECURE_HSTS_SECONDS}"]
    parts += ["includeSubDomains"] if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else []
    parts += ["preload"] if settings.SECURE_HSTS_PRELOAD else []
    return "; ".join(parts)
