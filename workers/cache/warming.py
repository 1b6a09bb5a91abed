"""Fills cache entries before anybody asks for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

Warmer = Callable[[], Any]
_warmers: dict[str, Warmer] = {}


def warmer(name: str) -> Callable[[Warmer], Warmer]:
    """Register a function that fills cache entries; it must write them even if they are there.

    Raises ValueError when the name belongs to another function.
    """

    def register(function: Warmer) -> Warmer:
        if _warmers.get(name, function) is not function:
            raise ValueError(f"the warmer {name!r} is registered already; choose another name")
        _warmers[name] = function
        return function

    return register


def warm_all() -> dict[str, bool]:
    """Run every warmer, whatever becomes of the others; return which ones went well."""
    return {name: _run(name, function) for name, function in _warmers.items()}


def _run(name: str, function: Warmer) -> bool:
    try:
        function()
    except Exception:
        logger.exception("cache warmer %s failed", name)
        return False
    return True
