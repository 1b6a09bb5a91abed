"""Security headers: each response has them, and keeps what its view set."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.test import AsyncClient, Client
from django.urls import path
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import etag

from core.csp import CSP, csp_override, csp_report_only_override

OURS = "core.middleware.security.SecurityHeadersMiddleware"
DJANGOS = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ENFORCED, REPORTED = "Content-Security-Policy", "Content-Security-Policy-Report-Only"
PAGE = "{% if show %}<script nonce='{{ csp_nonce }}'></script>{% endif %}"


def page(request: HttpRequest, show: str = "") -> HttpResponse:
    """Render a template that may use the nonce."""
    return HttpResponse(engines["django"].from_string(PAGE).render({"show": show}, request))


async def apage(request: HttpRequest) -> HttpResponse:
    """Answer in the event loop."""
    return page(request, "yes")


def own(request: HttpRequest) -> HttpResponse:
    """Bring headers of its own."""
    names = ("X-Frame-Options", "Referrer-Policy", "Permissions-Policy", ENFORCED, REPORTED)
    return HttpResponse("own", headers=dict.fromkeys(names, "own"))


@csp_override({"img-src": ["*"]})
@csp_report_only_override({})
def other(request: HttpRequest) -> HttpResponse:
    """Have another policy."""
    return HttpResponse("other")


@xframe_options_exempt
def framed(request: HttpRequest) -> HttpResponse:
    """May be put into frames."""
    return HttpResponse("framed")


@etag(lambda request: '"same"')
def unchanged(request: HttpRequest) -> HttpResponse:
    """Say that a browser may keep what it has."""
    return page(request, "yes")


def fails(request: HttpRequest) -> HttpResponse:
    """Fail."""
    raise ZeroDivisionError


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    """Use the nonce when the headers have gone."""

    def parts() -> Iterator[str]:
        yield str(request._csp_nonce)  # type: ignore[attr-defined]  # set by the middleware

    return StreamingHttpResponse(parts())


urls = ModuleType("security_test_urls")
vars(urls).update(
    urlpatterns=[
        path("page", page),
        path("page/<show>", page),
        path("async", apage),
        path("own", own),
        path("other", other),
        path("framed", framed),
        path("unchanged", unchanged),
        path("fails", fails),
        path("streamed", streamed),
    ]
)


@pytest.fixture(autouse=True)
def _system(settings: Any) -> None:
    settings.ROOT_URLCONF = urls
    settings.DEBUG = False
    settings.MIDDLEWARE = [OURS]
    settings.SECURE_SSL_REDIRECT = False
    settings.SECURE_HSTS_SECONDS = 60
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    settings.SECURE_HSTS_PRELOAD = True
    settings.SECURE_CSP = {"script-src": [CSP.SELF, CSP.NONCE], "img-src": [CSP.SELF]}
    settings.SECURE_CSP_REPORT_ONLY = {"default-src": [CSP.NONE]}
    settings.PERMISSIONS_POLICY = {"camera": []}
    settings.SECURE_CROSS_ORIGIN_RESOURCE_POLICY = "same-origin"


def get(address: str, **options: Any) -> Any:
    """Ask over HTTPS."""
    return Client(raise_request_exception=False).get(address, secure=True, **options)


@pytest.mark.parametrize("middleware", [[OURS], [OURS, *DJANGOS], [*DJANGOS, OURS]])
@pytest.mark.parametrize("address", ["/page", "/async", "/fails", "/nowhere"])
def test_every_response_has_them(middleware: list[str], address: str, settings: Any) -> None:
    """Once each, with Django's own middleware or without, also when something went wrong."""
    settings.MIDDLEWARE = middleware
    headers = dict(get(address).items())
    assert headers | {ENFORCED: "", "Content-Type": "", "Content-Length": ""} == {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Strict-Transport-Security": "max-age=60; includeSubDomains; preload",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=()",
        ENFORCED: "",
        REPORTED: "default-src 'none'",
        "Content-Type": "",
        "Content-Length": "",
    }
    assert headers[ENFORCED].startswith("script-src 'self'")


def test_what_a_view_set_stays() -> None:
    """Nothing is overwritten, and an exemption of Django's decorators counts."""
    response = get("/own")
    assert [value for value in response.headers.values() if value == "own"] == ["own"] * 5
    assert "X-Frame-Options" not in get("/framed")
    other = get("/other")
    assert (other[ENFORCED], REPORTED in other) == ("img-src *", False)


def test_the_nonce_of_a_page_is_in_its_policy() -> None:
    """A new one for each request, and none where the page has no use for it."""
    first, second = get("/page/yes"), get("/page/yes")
    for response in (first, second):
        nonce = response.content.decode().split("'")[1]
        assert response[ENFORCED] == f"script-src 'self' 'nonce-{nonce}'; img-src 'self'"
    assert first[ENFORCED] != second[ENFORCED]
    assert "nonce" not in get("/page")[ENFORCED]


def test_a_stream_has_its_nonce_in_time() -> None:
    """The headers go before the page; what that will use is in them."""
    response = get("/streamed")
    nonce = b"".join(response.streaming_content).decode()
    assert f"'nonce-{nonce}'" in response[ENFORCED]


def test_nothing_is_sent_that_is_switched_off(settings: Any) -> None:
    """An empty setting, a missing one, and HSTS where there is no HTTPS."""
    settings.SECURE_CSP = settings.SECURE_CSP_REPORT_ONLY = {}
    settings.PERMISSIONS_POLICY = {}
    settings.SECURE_CONTENT_TYPE_NOSNIFF = False
    settings.SECURE_REFERRER_POLICY = None
    settings.SECURE_CROSS_ORIGIN_OPENER_POLICY = None
    del settings.SECURE_CROSS_ORIGIN_RESOURCE_POLICY
    headers = dict(Client().get("/page").items())
    assert set(headers) == {"Content-Type", "X-Frame-Options"}


def test_pages_for_developers_are_left_alone(settings: Any) -> None:
    """With DEBUG Django's error pages bring styles and scripts; what an API answers does not."""
    settings.DEBUG = True
    assert ENFORCED not in get("/fails")
    assert ENFORCED not in get("/nowhere")
    assert ENFORCED in get("/fails", headers={"accept": "text/plain"})
    assert ENFORCED in get("/page")


def test_an_event_loop_is_served() -> None:
    """The same under ASGI."""
    response = asyncio.run(AsyncClient().get("/async"))
    nonce = response.content.decode().split("'")[1]
    assert f"'nonce-{nonce}'" in response[ENFORCED]


def test_a_page_that_a_browser_keeps() -> None:
    """Keeps its policy with its nonce: a 304 would replace it by one without."""
    first = Client().get("/unchanged")
    assert "nonce-" in first[ENFORCED]
    kept = Client().get("/unchanged", headers={"If-None-Match": first["ETag"]})
    assert kept.status_code == 304
    assert ENFORCED not in kept
    assert REPORTED not in kept
    assert kept["X-Content-Type-Options"] == "nosniff"
