"""Permissions-Policy: which features of the browser a page, and what it embeds, may use.

    PERMISSIONS_POLICY = {"camera": [], "geolocation": ["self", "https://maps.example.com"]}

An empty list forbids a feature to everybody; "self" is the site, "*" everybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_FEATURE = re.compile(r"[a-z][a-z0-9-]*")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.*:\[\]-]+")


def permissions_header(policy: Mapping[str, Any]) -> str:
    """Return the value of the header; empty for an empty policy."""
    return ", ".join(f"{feature}={_allowed(who)}" for feature, who in policy.items())


def permissions_problems(policy: Any) -> list[str]:
    """Return what is wrong with the setting, a sentence each."""
    if not isinstance(policy, Mapping):
        return [f"it is a dict of features, not {policy!r}"]
    return [
        f"{feature}: {problem}"
        for feature, who in policy.items()
        for problem in _problems(feature, who)
    ]


def _allowed(who: Any) -> str:
    if "*" in who:
        return "*"
    return f"({' '.join(each if each == 'self' else _quoted(each) for each in who)})"


def _quoted(origin: str) -> str:
    return f'"{origin}"'


def _problems(feature: Any, who: Any) -> Iterator[str]:
    if not (isinstance(feature, str) and _FEATURE.fullmatch(feature)):
        yield "is no name of a feature, such as geolocation"
    if not isinstance(who, list | tuple):
        yield f'needs a list, as in ["self"], instead of {who!r}'
        return
    for each in who:
        if each not in ("self", "*") and not (isinstance(each, str) and _ORIGIN.fullmatch(each)):
            yield f'{each!r} is neither "self" nor "*" nor an origin such as https://example.com'
