"""Many-to-many relations: what is added and removed is announced as a change of the instance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models.signals import m2m_changed

from core.rows.announcements import ROWS_PER_EVENT, announce_updated, chunked
from core.rows.lifecycle import LifecycleModel

Names = dict[type[models.Model], str]


def watch_relations() -> None:
    """Listen to the many-to-many relations of models with life cycle signals, from both ends.

    To those only: a receiver for all would make adding slower for every model of the system.
    """
    for model in apps.get_models():
        if issubclass(model, LifecycleModel) and model.emits_events:
            for through in (*_own_relations(model), *_relations_to(model)):
                m2m_changed.connect(_after_change, sender=through)


def _own_relations(model: type[models.Model]) -> Names:
    fields = [(field.remote_field.through, field.name) for field in model._meta.many_to_many]
    return {through: name for through, name in fields if through is not None}


def _relations_to(model: type[models.Model]) -> Names:
    relations = [rel for rel in model._meta.related_objects if rel.many_to_many]
    return {rel.through: rel.get_accessor_name() or rel.name for rel in relations}  # type: ignore[attr-defined]


def _after_change(
    sender: type[models.Model],
    instance: Any,
    action: str,
    reverse: bool,
    model: type[models.Model],
    pk_set: set[Any] | None,
    using: str,
    **kwargs: Any,
) -> None:
    if not getattr(instance, "emits_events", False):
        return
    names = _relations_to(type(instance)) if reverse else _own_relations(type(instance))
    name = names[sender]
    if name in instance.event_exclude:
        return
    if action == "pre_clear":
        # Afterwards nobody knows any more which ones there were.
        instance._cleared = list(getattr(instance, name).using(using).values_list("pk", flat=True))
    elif action == "post_clear":
        _announce(instance, name, using, went=instance.__dict__.pop("_cleared"))
    elif action == "post_add":
        _announce(instance, name, using, came=pk_set or ())
    elif action == "post_remove":
        _announce(instance, name, using, went=pk_set or ())


def _announce(
    instance: LifecycleModel,
    name: str,
    using: str,
    *,
    went: Iterable[Any] = (),
    came: Iterable[Any] = (),
) -> None:
    for part in chunked(sorted(went, key=str), ROWS_PER_EVENT):
        announce_updated(instance, {name: [list(part), []]}, using)
    for part in chunked(sorted(came, key=str), ROWS_PER_EVENT):
        announce_updated(instance, {name: [[], list(part)]}, using)
