"""Did you mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is most like a misspelt word, or None when none is."""
    found = difflib.get_close_matches(word, list(choices), n=1)
    return found[0] if found else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return the end of a message about a misspelt word; empty when nothing is like it."""
    found = closest(word, choices)
    return f" (did you mean {found!r}?)" if found else ""
