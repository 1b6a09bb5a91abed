"""Checks that tables which are written exactly once are in the database of the events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register
from django.db import models, router

from core.events.conf import conf


def require_engine_database(model: type[models.Model]) -> None:
    """Let `manage.py check` report a model that is routed to another database than the events."""

    def check(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
        return misplaced(model)

    register(check)


def misplaced(model: type[models.Model]) -> list[CheckMessage]:
    """Return what is wrong with where a model is written, if anything."""
    alias = router.db_for_write(model)
    if alias == conf.database:
        return []
    return [
        Error(
            f"{model._meta.label} is written to the database {alias!r} but events are in "
            f"{conf.database!r}, so one event could have its effect twice.",
            hint=f"Route {model._meta.app_label} to {conf.database!r} in DATABASE_ROUTERS.",
            obj=model,
            id="workers.E001",
        )
    ]
