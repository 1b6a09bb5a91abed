"""Rows changed in bulk are announced: which ones they are, and what changed.

An UPDATE says itself which rows it changed. Only where that is not enough are they locked and read
first: for the old values of a model with `track_bulk_changes`, and where columns of a parent's
table change, which Django updates by a statement of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any, Self, TypeVar

from django.db import connections, models, transaction
from django.db.models import Q
from django.db.models.sql.where import WhereNode

from core.rows.announcements import (
    ROWS_PER_EVENT,
    announce_alike,
    announce_bulk,
    chunked,
    deletion_by,
    emits_events,
)
from core.rows.changes import Changes, diff, names_of, shown, watched
from core.rows.keys import OneOf, can_return_keys, update_returning_keys
from core.signals.audit_signals import model_created, model_updated

Row = TypeVar("Row", bound=models.Model, covariant=True)
Values = dict[str, Any]
Deleted = tuple[int, dict[str, int]]

_ROWS_PER_LOOKUP = 200


class LifecycleQuerySet(models.QuerySet[Row, Row]):
    """A queryset whose bulk operations announce what they do, in the same transaction.

    Events name the rows and the new values, and say `exact: False`. With `track_bulk_changes`
    they have the old values as well, at the cost of one SELECT that locks the rows.
    """

    def update(self, **kwargs: Any) -> int:
        """Update the rows as Django does, and announce which ones and what."""
        fields = {} if self._is_refused() else self._news_in(kwargs)
        if not fields:
            return super().update(**kwargs)
        self._for_write = True
        with transaction.atomic(using=self.db, savepoint=False):
            if self._is_tracked() or "is_deleted" in fields:
                count = self._update_tracked(kwargs, fields)
            else:
                keys = self._update_untracked(kwargs)
                count = len(keys)
                self._announce_roughly(keys, fields)
        self._result_cache = None
        return count

    def bulk_update(
        self, objs: Iterable[Any], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        """Update the rows as Django does, and announce which ones and which fields."""
        objs = list(objs)
        if emits_events(self.model):
            batch_size = min(batch_size or ROWS_PER_EVENT, ROWS_PER_EVENT)
        count = super().bulk_update(objs, fields, batch_size)
        _forget(objs)
        return count

    def bulk_create(
        self,
        objs: Iterable[Any],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[Any]:
        """Insert the rows as Django does, and announce them.

        With `ignore_conflicts`, rows whose keys the database makes cannot be told apart from those
        that were left out, so they are not announced.
        """
        objs = list(objs)
        options: Any = {
            "batch_size": batch_size,
            "ignore_conflicts": ignore_conflicts,
            "update_conflicts": update_conflicts,
            "update_fields": update_fields,
            "unique_fields": unique_fields,
        }
        if not emits_events(self.model) or not objs:
            return super().bulk_create(objs, **options)
        self._for_write = True
        with transaction.atomic(using=self.db, savepoint=False):
            if ignore_conflicts or update_conflicts:
                self._create_around_conflicts(objs, options)
            else:
                super().bulk_create(objs, **options)
                self._announce_created(objs)
        _forget(objs)
        return objs

    def delete(self) -> Deleted:
        """Remove the rows as Django does, and announce them with all that goes with them."""
        if not emits_events(self.model):
            return super().delete()
        self._for_write = True
        with deletion_by(self, self.db):
            return super().delete()

    # Django's marks: templates may not call this, and managers do not offer it.
    delete.alters_data = delete.queryset_only = True  # type: ignore[attr-defined]

    def _is_tracked(self) -> bool:
        return bool(getattr(self.model, "track_bulk_changes", False))

    def _is_refused(self) -> bool:
        # Django explains what is wrong with these.
        return bool(self.query.is_sliced or self.query.combinator)

    def _news_in(self, values: Mapping[str, Any]) -> Values:
        """Return what is set to watched fields, by attribute name."""
        if not emits_events(self.model):
            return {}
        news = watched(self.model).items()
        names = {name: attname for attname, field in news for name in (field.name, attname)}
        return {names[name]: value for name, value in values.items() if name in names}

    def _update_tracked(self, values: Values, fields: Values) -> int:
        before = self._lock(fields)
        count = models.QuerySet.update(self._exactly(before), **values)
        self._announce_exactly(before, fields)
        return count

    def _update_untracked(self, values: Values) -> Collection[Any]:
        if can_return_keys(self, values):
            return update_returning_keys(self, values)
        keys = self._lock(())
        models.QuerySet.update(self._exactly(keys), **values)
        return keys

    def _lock(self, names: Collection[str]) -> dict[Any, Values]:
        """Lock the rows; return the values of these attributes by primary key."""
        rows: models.QuerySet[Any, Any] = self.order_by("pk")
        if not self._is_plain():
            # Only rows of one table can be locked. As when Django updates through a subquery, a
            # condition is then not checked again for rows that somebody else changed just now.
            rows = self.model._base_manager.using(self.db).filter(pk__in=self.values("pk"))
            rows = rows.order_by("pk")
        no_key = connections[self.db].features.has_select_for_no_key_update
        locked = rows.select_for_update(no_key=no_key).values("pk", *names)
        return {row["pk"]: row for row in locked}

    def _is_plain(self) -> bool:
        query = self.query
        return not query.distinct and query.group_by is None and len(query.alias_map) <= 1

    def _exactly(self, pks: Iterable[Any]) -> Self:
        rows = self.all()
        # The locked rows have met the condition.
        rows.query.where = WhereNode()
        return rows.filter(OneOf("pk", pks))

    def _announce_exactly(self, before: Mapping[Any, Values], fields: Values) -> None:
        after = self._after(before, fields)
        changes = ((pk, diff(self.model, old, after(pk))) for pk, old in before.items())
        changed = [(pk, its_changes) for pk, its_changes in changes if its_changes]
        announce_bulk(self.model, changed, self.db, exact=True)

    def _after(self, before: Mapping[Any, Values], fields: Values) -> Any:
        if not any(hasattr(value, "resolve_expression") for value in fields.values()):
            constants = {name: getattr(value, "pk", value) for name, value in fields.items()}
            return lambda pk: constants
        return self._values_of(before, fields).__getitem__

    def _values_of(self, pks: Iterable[Any], names: Iterable[str]) -> dict[Any, Values]:
        found = self.model._base_manager.using(self.db).filter(OneOf("pk", pks))
        return {row["pk"]: row for row in found.values("pk", *names)}

    def _announce_roughly(self, pks: Iterable[Any], fields: Values) -> None:
        changes: Changes = {}
        for name, value in fields.items():
            field = watched(self.model)[name]
            known = not hasattr(value, "resolve_expression")
            value = getattr(value, "pk", value) if known else None
            changes[field.name] = [None, shown(self.model, field, value, len(fields))]
        announce_alike(self.model, pks, changes, self.db, exact=False)

    def _announce_created(self, objs: Sequence[models.Model]) -> None:
        tracked = self._is_tracked()
        rows = ((o.pk, diff(self.model, {}, o.__dict__) if tracked else {}) for o in objs)
        announce_bulk(self.model, rows, self.db, exact=tracked, signal=model_created)

    def _create_around_conflicts(self, objs: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Insert rows, some of which are there already, and tell new ones from updated ones."""
        keys = [*(options["unique_fields"] or ["pk"])]
        names = names_of(self.model, options["update_fields"] or ()) & watched(self.model).keys()
        before = self._matching(objs, keys, names)
        super().bulk_create(objs, **options)
        after = self._matching(objs, keys, names)
        new = [pk for pk in after if pk not in before]
        announce_alike(self.model, new, {}, self.db, exact=False, signal=model_created)
        if options["update_conflicts"]:
            changes = ((pk, diff(self.model, before[pk], after[pk])) for pk in before)
            changed = [(pk, its_changes) for pk, its_changes in changes if its_changes]
            announce_bulk(self.model, changed, self.db, exact=True, signal=model_updated)

    def _matching(
        self, objs: Sequence[Any], keys: Sequence[str], names: Collection[str]
    ) -> dict[Any, Values]:
        """Return the values of stored rows that agree with one of the objects in these keys."""
        rows: dict[Any, Values] = {}
        for part in chunked(
            [o for o in objs if keys != ["pk"] or o.pk is not None], _ROWS_PER_LOOKUP
        ):
            same = reduce(or_, (Q(**{key: getattr(o, key) for key in keys}) for o in part))
            found = self.model._base_manager.using(self.db).filter(same)
            rows |= {row["pk"]: row for row in found.values("pk", *names)}
        return rows


def _forget(objs: Iterable[Any]) -> None:
    # Their next save looks up what is in the database.
    for obj in objs:
        obj._loaded = obj._uncommitted = None


LifecycleManager = models.Manager.from_queryset(LifecycleQuerySet, "LifecycleManager")
