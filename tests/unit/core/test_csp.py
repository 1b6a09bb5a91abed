"""Policies of content: what is sent, and what is found before it could be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from hypothesis import given
from hypothesis import strategies as st

from config.settings import security
from core.csp import (
    CSP,
    LazyNonce,
    build_policy,
    csp_override,
    csp_report_only_override,
    policy_problems,
)
from core.permissions_policy import permissions_header


@pytest.mark.parametrize(
    ("config", "header"),
    [
        ({"default-src": [CSP.SELF]}, "default-src 'self'"),
        ({"img-src": [CSP.SELF, "data:"], "base-uri": ()}, "img-src 'self' data:"),
        ({"sandbox": True, "frame-src": False, "font-src": None}, "sandbox"),
        ({"img-src": {"b.example", "a.example"}}, "img-src a.example b.example"),
        ({"default-src": CSP.NONE}, "default-src 'none'"),
        ({"script-src": [CSP.NONCE]}, ""),
        ({}, ""),
    ],
)
def test_a_policy_becomes_a_header(config: dict[str, Any], header: str) -> None:
    """As in Django 6: sets are sorted, and what is empty is left out."""
    assert build_policy(config) == header


def test_only_a_nonce_that_was_used_is_sent() -> None:
    """It is made when first printed, stays the same, and differs between requests."""
    nonce = LazyNonce()
    config = {"script-src": [CSP.SELF, CSP.NONCE]}
    assert not nonce
    assert build_policy(config, nonce) == "script-src 'self'"
    used = f"{nonce}"
    assert len(used) >= 22
    assert build_policy(config, nonce) == f"script-src 'self' 'nonce-{used}'"
    assert str(nonce) == used != str(LazyNonce())


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (["default-src"], "a policy is a dict"),
        ({"defautl-src": [CSP.SELF]}, "did you mean default-src?"),
        ({"script-src": "'self' a.example"}, "needs a list"),
        ({"script-src": True}, "instead of True"),
        ({"script-src": ["a.example; img-src *"]}, "is no source"),
        ({"script-src": ["a.example\r\nX: y"]}, "is no source"),
        ({"script-src": ["a.example,b.example"]}, "is no source"),
        ({"script-src": ["'self' 'unsafe-inline'"]}, "is no source"),
        ({"script-src": [""]}, "is no source"),
        ({"script-src": [7]}, "is no source"),
        ({"script-src": ["self"]}, "write \"'self'\""),
        ({"script-src": ["sha256-abc="]}, "needs single quotes"),
        ({"script-src": ["'nonce-abc'"]}, "write CSP.NONCE"),
        ({"script-src": [CSP.NONE, CSP.SELF]}, "must stand alone"),
        ({"img-src": [CSP.NONCE]}, "takes no nonce"),
    ],
)
def test_what_browsers_would_misread_is_named(config: Any, problem: str, settings: Any) -> None:
    """Of a setting by the checks; of a view when it is defined."""
    (found,) = policy_problems(config)
    assert problem in found
    settings.SECURE_CSP = config
    assert [(error.id, error.obj) for error in run_checks(tags=["signalbox"])] == [
        ("core.E021", "SECURE_CSP")
    ]
    with pytest.raises((TypeError, ValueError)):
        csp_override(config)


def test_other_headers_are_checked_too(settings: Any) -> None:
    """A name of a feature, who may use it, and the policies that are one word."""
    settings.SECURE_CSP_REPORT_ONLY = {"img": ["*"]}
    settings.PERMISSIONS_POLICY = {"camera": "self", "usb": ["self; x"], "Geo": []}
    settings.SECURE_CROSS_ORIGIN_RESOURCE_POLICY = "same-orign"
    settings.SECURE_CROSS_ORIGIN_EMBEDDER_POLICY = "on"
    found = [str(error.obj) for error in run_checks(tags=["signalbox"])]
    assert found == [
        "SECURE_CSP_REPORT_ONLY",
        *["PERMISSIONS_POLICY"] * 3,
        "SECURE_CROSS_ORIGIN_RESOURCE_POLICY",
        "SECURE_CROSS_ORIGIN_EMBEDDER_POLICY",
    ]


@given(st.dictionaries(st.text(), st.lists(st.text())), st.lists(st.text()))
def test_no_source_breaks_out(config: dict[str, list[str]], sources: list[str]) -> None:
    """What passes the checks is, as a header, just the directives that it has."""
    config |= {"script-src": sources, "img-src": sources}
    if not policy_problems(config):
        header = build_policy(config)
        assert header.isascii()
        assert header.isprintable()
        assert "," not in header
        written = [part.split() for part in header.split("; ")] if header else []
        assert written == [[name, *given] for name, given in config.items() if given]


def test_the_projects_policy_has_no_problems() -> None:
    """It allows neither inline scripts nor those of others."""
    assert policy_problems(security.SECURE_CSP) == []
    header = build_policy(security.SECURE_CSP)
    assert header.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in header


def test_a_view_of_its_own_mind() -> None:
    """The decorators mark what sync and async views return, for this middleware or Django's."""
    policy = {"img-src": ["*"]}

    @csp_override(policy)
    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("page")

    @csp_report_only_override({})
    async def apage(request: HttpRequest) -> HttpResponse:
        return HttpResponse("page")

    assert vars(page(HttpRequest()))["_csp_config"] == policy
    assert vars(asyncio.run(apage(HttpRequest())))["_csp_ro_config"] == {}


def test_features_of_browsers() -> None:
    """Forbidden to everybody, allowed to this site and others, or to everybody."""
    policy = {"camera": [], "geolocation": ["self", "https://maps.example"], "fullscreen": ["*"]}
    assert permissions_header(policy) == (
        'camera=(), geolocation=(self "https://maps.example"), fullscreen=*'
    )
