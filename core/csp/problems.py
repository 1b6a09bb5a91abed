"""What browsers would ignore or misread in a policy, found before one is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from core.csp.policy import CSP

_ALONE = {"block-all-mixed-content", "sandbox", "upgrade-insecure-requests"}
_WITH_NONCE = {
    "default-src",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
}
_DIRECTIVES = {
    *_ALONE,
    *_WITH_NONCE,
    "base-uri",
    "child-src",
    "connect-src",
    "fenced-frame-src",
    "font-src",
    "form-action",
    "frame-ancestors",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "object-src",
    "prefetch-src",
    "report-to",
    "report-uri",
    "require-trusted-types-for",
    "trusted-types",
    "worker-src",
}
_KEYWORDS = {
    each.strip("'")
    for each in (*CSP, "'inline-speculation-rules'", "'script'", "'allow-duplicates'")
    if each.startswith("'")
}
# All that a source may consist of. ";" would begin a directive, "," another policy.
_SOURCE = re.compile(r"[!-+\--:<-~]+")
_HASH_OR_NONCE = re.compile(r"(nonce|sha256|sha384|sha512)-", re.IGNORECASE)


def policy_problems(config: Any) -> list[str]:
    """Return what is wrong with a policy, a sentence each; nothing when it can be sent."""
    if not isinstance(config, Mapping):
        return [f"a policy is a dict of directives, not {config!r}"]
    return [
        f"{directive}: {problem}"
        for directive, sources in config.items()
        for problem in _directive_problems(directive, sources)
    ]


def _directive_problems(directive: Any, sources: Any) -> Iterator[str]:
    if directive not in _DIRECTIVES:
        close = get_close_matches(str(directive), _DIRECTIVES, 1)
        yield "no such directive" + (f", did you mean {close[0]}?" if close else "")
    elif isinstance(sources, bool) or sources is None:
        if sources and directive not in _ALONE:
            yield "needs a list of sources instead of True"
    elif not isinstance(sources, list | tuple | set | frozenset):
        yield f"needs a list of sources, as in [CSP.SELF], instead of {sources!r}"
    else:
        for source in sources:
            yield from _source_problems(directive, source)
        if CSP.NONE in sources and len(sources) > 1:
            yield f"{CSP.NONE} must stand alone: beside other sources browsers ignore it"


def _source_problems(directive: str, source: Any) -> Iterator[str]:
    if source == CSP.NONCE:
        if directive not in _WITH_NONCE:
            yield "takes no nonce; only scripts and styles have one"
    elif not (isinstance(source, str) and _SOURCE.fullmatch(source)):
        yield f"{source!r} is no source: one word of ASCII without ';' and ','"
    elif source.lower().startswith("'nonce-"):
        yield "a nonce that is always the same protects from nothing; write CSP.NONCE"
    elif source.lower() in _KEYWORDS and _takes_keywords(directive):
        yield f"{source} is a host without its quotes; write \"'{source.lower()}'\""
    elif _HASH_OR_NONCE.match(source):
        yield f"{source} needs single quotes around it"


def _takes_keywords(directive: str) -> bool:
    # There, words are names that were made up.
    return directive not in {"report-to", "report-uri", "sandbox", "trusted-types"}
