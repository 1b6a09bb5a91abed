"""Firing the life cycle signals: one event for a row, or for up to 1000 rows changed alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import models, transaction

from core.events import EventSignal
from core.events.outbox import can_record_with, record_with
from core.rows.changes import Changes, plain_text
from core.rows.writing import Statement
from core.signals.audit_signals import (
    model_created,
    model_deleted,
    model_restored,
    model_soft_deleted,
    model_updated,
)

Model = type[models.Model]
Item = TypeVar("Item")

ROWS_PER_EVENT = 1000
_OF_ONE_ROW = (model_created, model_updated, model_soft_deleted, model_restored)
_KEY_CHARACTERS = 100_000
_TEXT_LENGTH = 200


def emits_events(model: Model) -> bool:
    """Tell whether changes to rows of this model are announced."""
    return bool(getattr(model, "emits_events", False))


def can_announce_with_row(model: Model, using: str) -> bool:
    """Tell whether a row and the news of it can be written in one step."""
    return can_record_with(using, _OF_ONE_ROW, model._meta.concrete_model)


def announce_created(
    instance: models.Model, changes: Changes, using: str, statement: Statement | None = None
) -> bool:
    """Announce that this row is new; with a statement that writes it, do both in one step.

    Returns whether the row was written.
    """
    return _send_single(model_created, instance, changes, using, statement)


def announce_updated(
    instance: models.Model, changes: Changes, using: str, statement: Statement | None = None
) -> bool:
    """Announce that this row changed, was soft-deleted or was restored, as `announce_created`."""
    return _send_single(_signal_for(changes), instance, changes, using, statement)


def announce_bulk(
    model: Model,
    rows: Iterable[tuple[Any, Changes]],
    using: str,
    *,
    exact: bool,
    signal: EventSignal | None = None,
) -> None:
    """Announce rows, given as (key, changes): those that changed alike share events.

    Without `signal`, the changes say whether rows were updated, soft-deleted or restored.
    """
    alike: dict[str, tuple[Changes, list[str]]] = {}
    for pk, changes in rows:
        alike.setdefault(repr(changes), (changes, []))[1].append(str(pk))
    payloads: dict[EventSignal, list[Mapping[str, Any]]] = defaultdict(list)
    for changes, pks in alike.values():
        payloads[signal or _signal_for(changes)] += _bulk(model, pks, changes, exact)
    for each, its_payloads in payloads.items():
        _send(each, model, its_payloads, using)


def announce_alike(
    model: Model,
    keys: Iterable[Any],
    changes: Changes,
    using: str,
    *,
    exact: bool,
    signal: EventSignal | None = None,
) -> None:
    """Announce the rows with these keys, all of which changed in the same way."""
    pks = [str(key) for key in keys]
    if pks:
        payloads = _bulk(model, pks, changes, exact)
        _send(signal or _signal_for(changes), model, payloads, using)


@contextmanager
def deletion_by(origin: models.Model | models.QuerySet[Any, Any], using: str) -> Iterator[None]:
    """Gather the rows that the deletion begun by `origin` removes, and announce them together."""
    deletion = _Deletion(origin)
    with transaction.atomic(using=using, savepoint=False):
        token = _deletion.set(deletion)
        try:
            yield
        finally:
            _deletion.reset(token)
        deletion.announce(using)


def announce_deleted(instance: models.Model, changes: Changes, using: str, origin: object) -> None:
    """Announce that this row is gone, now or together with what else `origin` removes."""
    deletion = _deletion.get()
    if deletion is not None and deletion.origin is origin:
        deletion.add(instance, changes)
    else:
        _send(model_deleted, type(instance), [_single(instance, changes)], using)


class _Deletion:
    def __init__(self, origin: object) -> None:
        self.origin = origin
        self.rows: dict[Model, list[tuple[Any, Changes]]] = defaultdict(list)
        self.firsts: dict[Model, Mapping[str, Any]] = {}

    def add(self, instance: models.Model, changes: Changes) -> None:
        # Taken down now, since Django empties the keys of the instances in the end.
        model = type(instance)
        if model not in self.firsts:
            self.firsts[model] = _single(instance, changes)
        exact = getattr(model, "track_bulk_changes", False)
        self.rows[model].append((instance.pk, changes if exact else {}))

    def announce(self, using: str) -> None:
        for model, rows in self.rows.items():
            if len(rows) == 1:
                _send(model_deleted, model, [self.firsts[model]], using)
            else:
                exact = getattr(model, "track_bulk_changes", False)
                announce_bulk(model, rows, using, exact=exact, signal=model_deleted)


_deletion: ContextVar[_Deletion | None] = ContextVar("core_deletion", default=None)


def chunked(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield the items in runs of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _signal_for(changes: Changes) -> EventSignal:
    match changes.get("is_deleted"):
        case [False, True]:
            return model_soft_deleted
        case [True, False]:
            return model_restored
    return model_updated


def _single(instance: models.Model, changes: Changes) -> dict[str, Any]:
    return {
        "model": _label(type(instance)),
        "pk": str(instance.pk),
        "text": _describe(instance),
        "changes": changes,
    }


def _send_single(
    signal: EventSignal,
    instance: models.Model,
    changes: Changes,
    using: str,
    statement: Statement | None,
) -> bool:
    payload = _single(instance, changes)
    if statement is not None:
        return record_with(statement, signal, instance._meta.concrete_model, payload)
    _send(signal, type(instance), [payload], using)
    return True


def _bulk(
    model: Model, pks: Sequence[str], changes: Changes, exact: bool
) -> list[Mapping[str, Any]]:
    # Long keys make smaller events, so that none is larger than an event may be.
    size = max(1, min(ROWS_PER_EVENT, _KEY_CHARACTERS // max(map(len, pks))))
    common = {"model": _label(model), "changes": changes, "exact": exact}
    return [common | {"pks": list(part)} for part in chunked(pks, size)]


def _label(model: Model) -> str:
    concrete = model._meta.concrete_model
    assert concrete is not None  # only abstract models have none
    return concrete._meta.label_lower


def _describe(instance: models.Model) -> str:
    try:
        text = str(instance)
    except Exception:
        # __str__ is the domain's code, and may reach for related rows that are gone already.
        text = f"{instance._meta.object_name} ({instance.pk})"
    return plain_text(text, _TEXT_LENGTH)


def _send(
    signal: EventSignal, model: Model, payloads: Sequence[Mapping[str, Any]], using: str
) -> None:
    # Whoever catches an error of this must not commit the change without its event.
    with transaction.mark_for_rollback_on_error(using=using):
        if len(payloads) == 1:
            signal.send(sender=model._meta.concrete_model, **payloads[0])
        else:
            signal.send_many(sender=model._meta.concrete_model, payloads=payloads)
