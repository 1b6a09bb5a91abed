"""Soft deletion of rows together with what refers to them.

A model with `soft_delete_cascade = True` has its `on_delete` rules followed, over all levels:

    CASCADE             rows of a soft-deletable model are marked too; other rows stay as they are
    PROTECT, RESTRICT   rows that are not deleted refuse it with Django's errors
    SET_NULL and alike  the reference stays: the row that it leads to is still there, and restoring
                        could not know what to put back

A cascade goes down from the rows that it marks: not from rows that were deleted before, and not
through rows that it cannot mark. Generic relations are not followed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import (
    CASCADE,
    PROTECT,
    RESTRICT,
    ForeignKey,
    ForeignObjectRel,
    OneToOneField,
    Q,
)
from django.db.models.deletion import ProtectedError, RestrictedError

from core.rows.keys import OneOf, Rows, every_row
from core.soft_delete.marks import Keys, Model, announce_marked, is_soft_deletable, mark, table_of

Reference = ForeignKey[Any, Any]


def cascades(model: Model) -> bool:
    """Tell whether soft deletion of this model's rows follows `on_delete`."""
    return bool(getattr(model, "soft_delete_cascade", False))


class SoftDeletion:
    """One deletion: the rows of a model that it marks, and what goes with them.

    The caller opens the transaction, and calls `announce()` when nothing refuses any more.
    """

    def __init__(self, model: Model, using: str, at: datetime, spared: Any = None) -> None:
        self.model = model
        self.using = using
        self.at = at
        # The key of a row that its instance marks itself, in the end.
        self.spared = [] if spared is None else [spared]
        self.marked: dict[Model, list[Any]] = defaultdict(list)

    def mark(self, rows: Rows) -> None:
        """Mark these rows and, if their model asks for it, what goes with them."""
        keys = mark(rows, self.at)
        self.marked[self.model] += keys
        if keys and cascades(self.model):
            self.follow(keys)

    def follow(self, keys: Keys) -> None:
        """Treat what refers to these rows of the model as `on_delete` says, level by level.

        Raises ProtectedError or RestrictedError.
        """
        waiting = deque([(self.model, keys)])
        restricting = []
        while waiting:
            model, its_keys = waiting.popleft()
            for reference in references_to(model):
                rule = reference.remote_field.on_delete
                if rule is PROTECT:
                    self._meet_protection(reference, its_keys)
                elif rule is RESTRICT:
                    restricting.append((reference, its_keys))
                elif takes_along(reference):
                    marked = self._mark_children(reference, its_keys)
                    waiting += [(reference.model, marked)] if marked else []
        # Only now: rows that went along by another way restrict nothing.
        for reference, its_keys in restricting:
            self._meet_restriction(reference, its_keys)

    def announce(self) -> None:
        """Announce the rows that were marked."""
        for model, keys in self.marked.items():
            announce_marked(model, keys, self.at, self.using)

    def counts(self) -> dict[str, int]:
        """Return how many rows were marked, by the label of their model."""
        return {model._meta.label: len(keys) for model, keys in self.marked.items() if keys}

    def _mark_children(self, reference: Reference, keys: Keys) -> list[Any]:
        rows = referring(reference, keys, self.using)
        if table_of(reference.model) is table_of(self.model):
            rows = rows.exclude(pk__in=self.spared)
        marked = mark(rows, self.at)
        self.marked[reference.model] += marked
        return marked

    def _meet_protection(self, reference: Reference, keys: Keys) -> None:
        rows = referring(reference, keys, self.using)
        if is_soft_deletable(reference.model):
            # As in Django, rows that go as well still protect.
            rows = rows.filter(Q(is_deleted=False) | Q(deleted_at=self.at))
        if found := set(rows):
            raise ProtectedError(self._refusal("protected", reference), found)

    def _meet_restriction(self, reference: Reference, keys: Keys) -> None:
        rows = referring(reference, keys, self.using)
        if is_soft_deletable(reference.model):
            rows = rows.filter(is_deleted=False)
            if table_of(reference.model) is table_of(self.model):
                rows = rows.exclude(pk__in=self.spared)
        if found := set(rows):
            raise RestrictedError(self._refusal("restricted", reference), found)

    def _refusal(self, kind: str, reference: Reference) -> str:
        return (
            f"Cannot delete some instances of model {self.model.__name__!r} because they are "
            f"referenced through {kind} foreign keys: "
            f"'{reference.model.__name__}.{reference.name}'."
        )


def takes_along(reference: Reference) -> bool:
    """Tell whether rows with this foreign key are marked together with what they refer to."""
    return reference.remote_field.on_delete is CASCADE and is_soft_deletable(reference.model)


def references_to(model: Model) -> list[Reference]:
    """Return the foreign keys that lead to rows of this soft-deletable model.

    A row of a child model is a row of its parents as well, so theirs are among them.
    """
    relations = (
        relation
        for each in _family(table_of(model))
        for relation in each._meta.get_fields(include_hidden=True)
        if isinstance(relation, ForeignObjectRel)
    )
    return [
        field
        for field in dict.fromkeys(relation.field for relation in relations)
        if isinstance(field, ForeignKey)
        and not field.remote_field.parent_link
        and is_soft_deletable(field.remote_field.model)
    ]


def referring(reference: Reference, keys: Keys, using: str) -> Rows:
    """Return the rows, deleted or not, whose foreign key leads to rows with these keys."""
    rows = every_row(reference.model, using)
    if reference.target_field.primary_key:
        return rows.filter(OneOf(reference.name, keys))
    targets = every_row(reference.remote_field.model, using).filter(OneOf("pk", keys))
    return rows.filter(**{f"{reference.name}__in": targets})


def _family(model: Model) -> Iterator[Model]:
    """Yield the model and those whose rows are rows of it too, in a table of their own."""
    yield model
    for relation in model._meta.related_objects:
        link = relation.field
        if isinstance(link, OneToOneField) and link.remote_field.parent_link and link.primary_key:
            yield from _family(link.model)
