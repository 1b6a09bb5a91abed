"""Which cache entries an event makes stale: the rules, and getting rid of the entries."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from django.core.cache import cache
from django.db.models import Model

from .patterns import delete_pattern

logger = logging.getLogger(__name__)

Call = Callable[[], Any]
Keys = Iterable[str] | Callable[[Mapping[str, Any]], Iterable[str]]

# How long to leave a cache alone that failed at a commit; the durable delivery does it then.
_REST = 5.0


@dataclass(slots=True)
class Stale:
    """Entries to get rid of; those of many events are gathered, so that each goes once."""

    keys: set[str] = field(default_factory=set)
    patterns: set[str] = field(default_factory=set)
    calls: set[Call] = field(default_factory=set)

    def remove(self) -> None:
        """Delete the entries, now. Raises what the cache raises when it is down."""
        if self.keys:
            cache.delete_many(self.keys)
        for pattern in self.patterns:
            delete_pattern(pattern)
        for call in self.calls:
            call()


@dataclass(frozen=True, slots=True)
class Rule:
    """The keys and patterns that go stale with an event, with fields of its payload in braces.

    `"order:{order.pk}"` works for a model instance and for its reference alike. For an event about
    many rows `{pk}` stands for each of them. A callable gets the payload and returns the keys.
    `calls` are functions that remove entries in a way of their own, and raise when they cannot.
    """

    keys: Keys = ()
    patterns: Keys = ()
    calls: tuple[Call, ...] = ()
    sender: type[Model] | None = None

    def fits(self, sender: str) -> bool:
        """Tell whether the rule is about events of this sender ("app.model")."""
        return self.sender is None or self.sender._meta.label_lower == sender

    def gather(self, stale: Stale, data: Mapping[str, Any]) -> None:
        """Add what a payload makes stale."""
        stale.keys.update(_filled(self.keys, data))
        stale.patterns.update(_filled(self.patterns, data))
        stale.calls.update(self.calls)


class Rules:
    """The rules by event name or glob."""

    def __init__(self) -> None:
        self._rules: dict[str, list[Rule]] = defaultdict(list)

    def add(self, pattern: str, rule: Rule) -> None:
        """Add a rule for the events of this name or glob."""
        self._rules[pattern].append(rule)

    def gather(self, stale: Stale, *, name: str, sender: str, data: Mapping[str, Any]) -> None:
        """Add what an event makes stale."""
        for pattern, rules in self._rules.items():
            if fnmatchcase(name, pattern):
                for rule in rules:
                    if rule.fits(sender):
                        rule.gather(stale, data)


class AtCommit:
    """Removes entries in the committing process, as far as the cache lets it.

    An error is logged and the cache left alone for a while: a commit must not wait for a cache
    that does not answer, and the durable delivery removes the entries in any case.
    """

    def __init__(self) -> None:
        self._rests_until = 0.0

    def remove(self, stale: Stale) -> None:
        """Delete the entries unless the cache failed just now."""
        if time.monotonic() < self._rests_until:
            return
        try:
            stale.remove()
        except Exception as error:
            # Whatever the backend raises when its server is gone.
            self._rests_until = time.monotonic() + _REST
            logger.warning("cache not invalidated at commit: %s", type(error).__name__)


def _filled(templates: Keys, data: Mapping[str, Any]) -> list[str]:
    if callable(templates):
        return list(templates(data))
    rows = [{**data, "pk": pk} for pk in data["pks"]] if "pks" in data else [data]
    return [template.format_map(row) for template in templates for row in rows]
