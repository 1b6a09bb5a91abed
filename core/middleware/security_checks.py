"""System checks: settings of security headers that browsers would ignore or misread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from core.csp.problems import policy_problems
from core.permissions_policy import permissions_problems

_RESOURCE = ("same-origin", "same-site", "cross-origin")
_EMBEDDER = ("unsafe-none", "require-corp", "credentialless")


def check_security_headers(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Report policies that are not what they were meant to be."""
    return [
        Error(f"{name}: {problem}.", hint=_HINTS[name], obj=name, id="core.E021")
        for name, problems in _PROBLEMS.items()
        if (value := getattr(settings, name, None))
        for problem in problems(value)
    ]


def _one_of(*known: str) -> Callable[[Any], Iterator[str]]:
    def problems(value: Any) -> Iterator[str]:
        if value not in known:
            yield f"{value!r} is none of {', '.join(known)}"

    return problems


_PROBLEMS: dict[str, Callable[[Any], Any]] = {
    "SECURE_CSP": policy_problems,
    "SECURE_CSP_REPORT_ONLY": policy_problems,
    "PERMISSIONS_POLICY": permissions_problems,
    "SECURE_CROSS_ORIGIN_RESOURCE_POLICY": _one_of(*_RESOURCE),
    "SECURE_CROSS_ORIGIN_EMBEDDER_POLICY": _one_of(*_EMBEDDER),
}
_CSP_HINT = 'Write a dict of lists, as in {"default-src": [CSP.SELF]}.'
_HINTS = {
    "SECURE_CSP": _CSP_HINT,
    "SECURE_CSP_REPORT_ONLY": _CSP_HINT,
    "PERMISSIONS_POLICY": 'Write a dict of lists, as in {"geolocation": ["self"]}.',
    "SECURE_CROSS_ORIGIN_RESOURCE_POLICY": "None sends no such header.",
    "SECURE_CROSS_ORIGIN_EMBEDDER_POLICY": "None sends no such header.",
}
