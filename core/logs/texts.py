"""Secrets in the midst of a text: in URLs, in headers, in what somebody formatted himself."""

from __future__ import annotations

import re

from core.redaction import REDACTED, is_secret

# Characters that are searched; a longer text is cut before.
_MAX_SEARCHED = 65_536
CUT = "…"
_QUOTED = r"""b?"(?:\\.|[^"\\])*"|b?'(?:\\.|[^'\\])*'"""
# token=x and ?token=x, also quoted for a URL; "token": "x", also within a JSON text; PostgreSQL's
# Key (token)=(x).
_NAME = re.compile(r"""(?<![\w.\-])(\w[\w.\-]{0,63})(=|%3[dD]|\\*["']\s?:\s?|\)=\()""")
_VALUE = re.compile(
    rf"""\\+["'][^"']*["']|{_QUOTED}|\[[^\]]{{0,500}}\]|\{{[^}}]{{0,500}}\}}|[^\s&;,)\]}}"'#]+"""
)
_QUOTED_VALUE = re.compile(r"""(?:(?!%26)[^\s&"'#])+""")
# Headers as pairs.
_PAIR = re.compile(rf"""(\(b?["']([\w\-]{{1,64}})["'],\s?)(?:{_QUOTED})""")
_CREDENTIALS = re.compile(r"""(://[^\s/?#@:"']*):[^\s/?#"']+@""")
_SCHEME = re.compile(
    r"\b((?i:bearer)\s+)[\w~+/=.\-]{16,}|\b((?i:basic)\s+)(?=\S*[A-Z0-9=])[\w+/=]{8,}"
)
_HAS_NAMES = re.compile(r"""=|%3[dD]|["']\s?:""")


def cut(text: str, limit: int) -> str:
    """Return the text, or its beginning and its end with the number of characters between them."""
    if len(text) <= limit:
        return text
    head = limit // 4
    return f"{text[:head]}{CUT}({len(text) - limit} characters){CUT}{text[head - limit :]}"


def shown(text: str, limit: int) -> str:
    """Return the text without secrets, of about so many characters at most."""
    if len(text) > _MAX_SEARCHED:
        return without_secrets(cut(text, limit))
    return cut(without_secrets(text), limit)


def without_secrets(text: str) -> str:
    """Return the text with values redacted that stand beside a name which is that of a secret.

    Passwords in URLs, and what a header says after Bearer or Basic, as well.
    """
    if _HAS_NAMES.search(text):
        text = _without_named(text)
    if "('" in text or "(b'" in text or '("' in text:
        text = _PAIR.sub(_pair, text)
    if "://" in text and "@" in text:
        text = _CREDENTIALS.sub(rf"\1:{REDACTED}@", text)
    if "earer" in text or "asic" in text or "EARER" in text or "ASIC" in text:
        text = _SCHEME.sub(_scheme, text)
    return text


def _without_named(text: str) -> str:
    found: list[str] = []
    position = 0
    for name in _NAME.finditer(text):
        if name.start() < position or not is_secret(name[1]):
            continue
        kind = _QUOTED_VALUE if name[2].startswith("%") else _VALUE
        value = kind.match(text, name.end())
        if value is not None and value[0].strip("\"'\\") != REDACTED:
            found += (text[position : name.end()], REDACTED)
            position = value.end()
    return "".join((*found, text[position:]))


def _pair(found: re.Match[str]) -> str:
    return f"{found[1]}{REDACTED}" if is_secret(found[2]) else found[0]


def _scheme(found: re.Match[str]) -> str:
    return f"{found[1] or found[2]}{REDACTED}"
