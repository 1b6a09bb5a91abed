"""LifecycleModel: whatever happens to a row is announced by a signal, in the same transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models, router, transaction
from django.db.models.signals import class_prepared, post_delete, post_save, pre_save

from core.rows.announcements import (
    announce_created,
    announce_deleted,
    announce_updated,
    can_announce_with_row,
    deletion_by,
)
from core.rows.bulk import LifecycleManager
from core.rows.changes import Changes, current, diff, names_of, snapshot, watched
from core.rows.loading import LoadPart
from core.rows.writing import (
    Statement,
    Write,
    WritePart,
    execute,
    is_joinable,
    is_known_before_insert,
)

Values = dict[str, Any]
Loaded = tuple[Collection[str], Collection[Any]]


class LifecycleModel(LoadPart, WritePart):
    """A model whose rows announce that they were created, updated or deleted.

    "Updated" names the fields that differ from what this instance loaded or saved last; nothing is
    announced when none does. What is written past the instance and its manager (raw SQL, fixtures,
    migrations) is not announced.
    """

    # False: changes to this model are nobody's news.
    emits_events: ClassVar[bool] = True
    # Fields that never appear in events; a change of these alone is not announced.
    event_exclude: ClassVar[Collection[str]] = ()
    # Fields whose change is announced without the values. Passwords, tokens etc. always are.
    event_masked: ClassVar[Collection[str]] = ()
    # True: bulk operations read the old values as well, and rows that changed alike share an event.
    track_bulk_changes: ClassVar[bool] = False

    # The values known to be in the database, as (attribute names, values); None: unknown.
    _loaded: Loaded | None = None
    # What was saved in a transaction that is not over.
    _uncommitted: Loaded | None = None
    # The save that is under way.
    _saving: _Save | None = None

    objects = LifecycleManager()
    # Whatever becomes of `objects`, this one hides nothing.
    all_objects = LifecycleManager()

    class Meta:
        abstract = True
        # Django changes rows through the base manager too: SET_NULL, related managers.
        base_manager_name = "all_objects"

    def __getstate__(self) -> dict[str, Any]:
        """Return what Django pickles; a copy looks up what is in the database when it is saved."""
        return super().__getstate__() | {"_loaded": None, "_uncommitted": None}

    def _loaded_from(self, names: Collection[str], values: Collection[Any]) -> None:
        super()._loaded_from(names, values)
        if self.emits_events:
            self._loaded = names, snapshot(type(self), names, values)

    def _reloaded(self, names: Collection[str] | None) -> None:
        super()._reloaded(names)
        if not self.emits_events:
            return
        values = current(self)
        if names is not None:
            reloaded = names_of(type(self), names)
            values = self._known() | {k: v for k, v in values.items() if k in reloaded}
        self._remember(values)

    def save_base(
        self,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """Write the row and its event in one transaction, or in one step where that can be."""
        using = using or router.db_for_write(type(self), instance=self)
        options: Any = {
            "raw": raw,
            "force_insert": force_insert,
            "force_update": force_update,
            "using": using,
            "update_fields": update_fields,
        }
        if raw or not self.emits_events:
            return super().save_base(**options)
        begun = transaction.get_connection(using).in_atomic_block
        save = self._planned(using, begun, force_insert, force_update, update_fields)
        needs_begin = not (begun or save.is_alone)
        written = gone = False
        outer, self._saving = self._saving, save
        try:
            with transaction.atomic(using, savepoint=False) if needs_begin else nullcontext():
                if save.unknown:
                    save.before |= self._stored_values(using, save.unknown)
                super().save_base(**options)
            written = True
        except _RowGone:
            gone = True
        finally:
            self._saving, saved = outer, self._loaded
            if begun or not written:
                # It may yet be rolled back: until it is over, a save looks up what is there.
                self._remember(None)
        if gone:
            # Somebody removed it meanwhile. Django may insert it now, which takes a transaction.
            with transaction.atomic(using, savepoint=False):
                return LifecycleModel.save_base(self, **options)
        if begun:
            self._know_after_commit(saved, using)

    def delete(self, using: str | None = None, keep_parents: bool = False) -> Any:
        """Remove the row, and announce it with all that goes with it in one transaction."""
        using = using or router.db_for_write(type(self), instance=self)
        with deletion_by(self, using):
            return super().delete(using=using, keep_parents=keep_parents)

    def _known(self) -> Values:
        return dict(zip(*self._loaded, strict=True)) if self._loaded else {}

    def _remember(self, values: Values | None) -> None:
        self._loaded = None if values is None else (list(values), list(values.values()))
        self._uncommitted = None

    def _know_after_commit(self, saved: Loaded | None, using: str) -> None:
        """Remember what was saved once that is committed, unless something came after it."""
        self._uncommitted = saved

        def know() -> None:
            if self._uncommitted is saved:
                self._loaded, self._uncommitted = saved, None

        transaction.on_commit(know, using=using, robust=True)

    def _planned(
        self,
        using: str,
        begun: bool,
        force_insert: Any,
        force_update: bool,
        update_fields: Iterable[str] | None,
    ) -> _Save:
        """Return what is known of a save before it begins."""
        model = type(self)
        made_here = self._state.adding and not force_update
        # Django inserts such a row without looking whether it is there.
        is_new = self.pk is None or force_insert or (made_here and self._meta.pk.has_default())
        before, unknown = ({}, []) if is_new else self._known_values(using, update_fields)
        joins = (
            is_joinable(model)
            and (is_known_before_insert(model) or not is_new)
            and can_announce_with_row(model, using)
        )
        is_alone = (
            joins
            and not (begun or unknown or _has_expressions(self))
            and transaction.get_autocommit(using)
            and _is_unheard(model)
        )
        return _Save(before, unknown, joins, is_alone)

    def _known_values(
        self, using: str, update_fields: Iterable[str] | None
    ) -> tuple[Values, list[str]]:
        """Return what is known to be stored, and which fields about to be written are not."""
        known = self._known()
        if self._state.db != using or known.get(self._meta.pk.attname) != self.pk:
            known = {}
        written = self.__dict__ if update_fields is None else names_of(type(self), update_fields)
        unknown = [name for name in watched(type(self)) if name in written and name not in known]
        return known, unknown

    def _stored_values(self, using: str, names: Collection[str]) -> Values:
        """Look these fields up, and keep them as they are until the transaction is over."""
        rows = type(self)._base_manager.using(using).filter(pk=self.pk)
        return dict(rows.select_for_update().values(*names).first() or {})

    def _write(self, write: Write) -> Any:
        save = self._saving
        if save is None:
            return super()._write(write)
        # Asked only now, since a receiver of `pre_save` may have set one.
        joins = save.joins and not _has_expressions(self)
        # First of all, since here Django refuses values that the field cannot hold.
        statement = write.statement() if joins else None
        if statement is None:
            found = super()._write(write)
        elif write.creates:
            self._insert_with_event(save, write.using, statement)
            return []
        else:
            changes = self._news(save, write.update_fields, created=False)
            if changes:
                found = announce_updated(self, changes, write.using, statement)
            else:
                found = execute(statement, write.using)
            save.is_told = found
        if save.is_alone and not (found or write.creates):
            raise _RowGone
        return found

    def _insert_with_event(self, save: _Save, using: str, statement: Statement) -> None:
        # The text of the row may depend on these; Django sets them when the row is there.
        state = self._state
        before = state.db, state.adding
        state.db, state.adding = using, False
        try:
            changes = self._news(save, None, created=True)
            save.is_told = announce_created(self, changes, using, statement)
        finally:
            if not save.is_told:
                state.db, state.adding = before

    def _news(
        self, save: _Save | None, update_fields: Iterable[str] | None, *, created: bool
    ) -> Changes:
        """Return what this save changes, and remember what the database holds with it."""
        model = type(self)
        values = current(self)
        if update_fields is not None:
            written = names_of(model, update_fields)
            values = {name: value for name, value in values.items() if name in written}
        elif not created:
            values = {name: v for name, v in values.items() if name not in self._left_alone}
        values |= _computed(self, [name for name, v in values.items() if _is_expression(v)])
        before = {} if created or save is None else save.before
        self._remember(before | values)
        return diff(model, before, values)


@dataclass(slots=True)
class _Save:
    """A save under way."""

    # What the database holds, and the attributes of which that is not known yet.
    before: Values
    unknown: Collection[str]
    # Its event may be written in one step with the row, ...
    joins: bool
    # ... which then is all of the save, so that no transaction is begun for it.
    is_alone: bool
    # What is to be announced has been.
    is_told: bool = False


class _RowGone(Exception):
    """A save that is one step has found no row to update."""


def _after_save(
    sender: type[LifecycleModel],
    instance: LifecycleModel,
    created: bool,
    raw: bool,
    using: str,
    update_fields: Iterable[str] | None,
    **kwargs: Any,
) -> None:
    save = instance._saving
    if raw or (save is not None and save.is_told):
        return
    changes = instance._news(save, update_fields, created=created)
    if created:
        announce_created(instance, changes, using)
    elif changes:
        announce_updated(instance, changes, using)


def _is_unheard(model: type[models.Model]) -> bool:
    """Tell whether nobody else hears of a save, whose work would belong to its transaction."""
    heard_by, asynchronously = post_save._live_receivers(model)
    # One of them is `_after_save`.
    return len(heard_by) + len(asynchronously) == 1 and not pre_save.has_listeners(model)


def _has_expressions(instance: models.Model) -> bool:
    return any(_is_expression(value) for value in instance.__dict__.values())


def _is_expression(value: Any) -> bool:
    return hasattr(value, "resolve_expression")


def _computed(instance: LifecycleModel, names: list[str]) -> Values:
    """Return what the database made of fields that were set to an expression, such as F("n")+1."""
    if not names:
        return {}
    rows = type(instance)._base_manager.using(instance._state.db)
    return dict(rows.filter(pk=instance.pk).values(*names).get())


def _after_delete(
    sender: type[LifecycleModel],
    instance: LifecycleModel,
    using: str,
    origin: object,
    **kwargs: Any,
) -> None:
    last = instance._known() or current(instance)
    changes = {name: [old, None] for name, (_, old) in diff(sender, {}, last).items()}
    announce_deleted(instance, changes, using, origin)


def _watch(sender: type[models.Model], **kwargs: Any) -> None:
    # One receiver per model: a receiver for all would take Django's fast deletion from every
    # model of the system. Models in migrations have plain bases, so they are never watched.
    if issubclass(sender, LifecycleModel) and sender.emits_events:
        post_save.connect(_after_save, sender=sender)
        post_delete.connect(_after_delete, sender=sender)


def _keep_base_manager(sender: type[models.Model], **kwargs: Any) -> None:
    # Django takes `Meta` from the first parent that has one, or from the model itself.
    meta = sender._meta
    if issubclass(sender, LifecycleModel) and meta.base_manager_name is None:
        meta.base_manager_name = LifecycleModel.Meta.base_manager_name
        meta._expire_cache()  # type: ignore[attr-defined]  # the stubs leave it out


class_prepared.connect(_watch)
class_prepared.connect(_keep_base_manager)
