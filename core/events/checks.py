"""System checks: settings, signals and routes that cannot be meant so."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from core.events.conf import DEFAULTS, problem
from core.events.declarations import declared
from core.events.routing import Route, is_glob, routing
from core.events.suggest import closest


@register("signalbox")
def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Name every setting of the engine that is misspelt or out of range."""
    return list(_settings())


def _settings() -> Iterator[CheckMessage]:
    for name in dir(settings):
        if name.startswith("EVENTS_") and name not in DEFAULTS:
            close = closest(name, DEFAULTS)
            hint = f"Did you mean {close}?" if close else f"Known: {', '.join(DEFAULTS)}."
            yield Warning(f"{name} is not a setting of Signalbox.", hint=hint, id="signalbox.W001")
    for name, default in DEFAULTS.items():
        wrong = problem(name, getattr(settings, name, default))
        if wrong:
            yield Error(wrong, id="signalbox.E001")


@register(Tags.database)
def check_database(app_configs: Any, databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Refuse a database that the engine has no statements for."""
    alias = getattr(settings, "EVENTS_DATABASE", "default")
    if alias not in connections or alias not in (databases or ()):
        return []
    vendor = connections[alias].vendor
    if vendor in ("postgresql", "sqlite"):
        return []
    return [
        Error(
            f"EVENTS_DATABASE is {alias!r}, a {vendor} database.",
            hint="Events live on PostgreSQL or SQLite; point it to such an alias.",
            id="signalbox.E002",
        )
    ]


@register("signalbox")
def check_declarations(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Refuse two signals of one name: only one of them could be upcast and masked."""
    counts = Counter(signal.name for signal in declared.all())
    return [
        Error(f"{count} signals are named {name!r}.", hint="Rename one.", id="signalbox.E003")
        for name, count in counts.items()
        if count > 1
    ]


@register("signalbox")
def check_routes(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Warn of routes that cannot get events or cannot run in a worker."""
    return [message for route in routing for message in _route(route)]


def _route(route: Route) -> Iterator[CheckMessage]:
    names = [signal.name for signal in declared.all()]
    for pattern in route.patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            kind = "glob" if is_glob(pattern) else "name"
            yield Warning(
                f"route {route.name!r}: the {kind} {pattern!r} matches no declared signal.",
                hint=_hint(pattern, names),
                id="signalbox.W002",
            )
    yield from _sender(route)
    if "<" in route.origin:
        yield Warning(
            f"route {route.name!r}: its handler {route.origin} cannot be imported by name.",
            hint="Define it at the top of a routes module, so that every worker has it.",
            id="signalbox.W003",
        )
    queues = _declared_queues()
    if queues and route.queue not in queues:
        yield Warning(
            f"route {route.name!r}: no worker is set to consume the queue {route.queue!r}.",
            hint=f"Add it to CELERY_TASK_QUEUES, or use one of {', '.join(sorted(queues))}.",
            id="signalbox.W004",
        )


def _sender(route: Route) -> Iterator[CheckMessage]:
    """Warn of a label such as "shop.order" that is neither an installed model nor a class."""
    module, _, name = (route.sender or "").rpartition(".")
    if "." in module or not module or hasattr(sys.modules.get(module), name):
        return
    labels = [model._meta.label_lower for model in apps.get_models()]
    if route.sender in labels:
        return
    close = closest(f"{module}.{name}".lower(), labels)
    yield Warning(
        f"route {route.name!r}: the sender {route.sender!r} is no installed model, so no event "
        "will match it.",
        hint=f"Did you mean {close!r}?" if close else "Give the model itself, or its label.",
        id="signalbox.W005",
    )


def _hint(pattern: str, names: list[str]) -> str:
    close = closest(pattern, names)
    return f"Did you mean {close!r}?" if close else "Declare the signal, or remove the pattern."


def _declared_queues() -> set[str]:
    queues = getattr(settings, "CELERY_TASK_QUEUES", None) or ()
    return {getattr(queue, "name", str(queue)) for queue in queues}
