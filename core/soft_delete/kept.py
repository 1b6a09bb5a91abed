"""Saving a whole row leaves its marks of deletion as they are, unless they were set by hand.

Django writes every column. An instance that was loaded before somebody else deleted its row would
bring the row back when it is saved: without an event, and without what went with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db import router, transaction
from django.db.models.base import DEFERRED

from core.rows.loading import LoadPart
from core.rows.writing import WritePart
from core.soft_delete.marks import MARKS

Marks = tuple[Any, ...]


class KeptMarks(LoadPart, WritePart):
    """Writes `is_deleted` and `deleted_at` only where the save is about them."""

    # The key and the marks that the database is known to hold; None: unknown.
    _known_marks: Marks | None = None
    # What was saved in a transaction that is not over.
    _unsure_marks: Marks | None = None

    class Meta:
        abstract = True

    def _loaded_from(self, names: Collection[str], values: Collection[Any]) -> None:
        super()._loaded_from(names, values)
        self._known_marks = self._held_marks()

    def _reloaded(self, names: Collection[str] | None) -> None:
        super()._reloaded(names)
        reloaded = [names is None or name in names for name in MARKS]
        if all(reloaded):
            self._known_marks, self._unsure_marks = self._held_marks(), None
        elif self._known_marks is not None:
            pairs = zip(self._held_marks(), self._known_marks, [False, *reloaded], strict=True)
            self._known_marks = tuple(new if is_new else old for new, old, is_new in pairs)

    def save_base(
        self,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """Save as Django does, but for marks that this instance only happens to hold."""
        using = using or router.db_for_write(type(self), instance=self)
        # A receiver may save the same instance again meanwhile.
        outer, self._left_alone = self._left_alone, ()
        try:
            super().save_base(
                raw=raw,
                force_insert=force_insert,
                force_update=force_update,
                using=using,
                update_fields=update_fields,
            )
            meant = update_fields is None or not set(MARKS).isdisjoint(update_fields)
            if meant and not set(MARKS) & set(self._left_alone):
                self._know_marks_after_commit(using)
        finally:
            self._left_alone = outer

    def _stored_already(self, using: str) -> set[str]:
        kept = super()._stored_already(using)
        if self._state.db == using and self._known_marks == self._held_marks():
            kept.update(MARKS)
        return kept

    def _held_marks(self) -> Marks:
        held = self.__dict__
        return (held.get(self._meta.pk.attname), *[held.get(name, DEFERRED) for name in MARKS])

    def _know_marks_after_commit(self, using: str) -> None:
        # Until then the next save writes them again, in case that they are rolled back.
        written = self._held_marks()
        self._known_marks, self._unsure_marks = None, written

        def know() -> None:
            if self._unsure_marks is written:
                self._known_marks, self._unsure_marks = written, None

        transaction.on_commit(know, using=using, robust=True)
