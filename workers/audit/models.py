"""AuditLog: one row per event and subject, append-only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar, NoReturn

from django.db import connections, models, router, transaction

from .errors import AppendOnlyError

SYSTEM = "system"
_PRUNED_AT_ONCE = 10_000


class AuditLogQuerySet(models.QuerySet["AuditLog"]):
    """Reads, and inserts; what would change or delete rows raises `AppendOnlyError`."""

    def about(self, object_type: str, object_id: object) -> AuditLogQuerySet:
        """Return the history of one object, newest first."""
        return self.filter(object_type=object_type, object_id=str(object_id))

    def update(self, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError

    def delete(self) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError

    delete.alters_data = True  # type: ignore[attr-defined]  # as Django marks its own
    delete.queryset_only = True  # type: ignore[attr-defined]  # as Django marks its own

    def bulk_create(
        self, objs: Iterable[AuditLog], *args: Any, update_conflicts: bool = False, **kwargs: Any
    ) -> list[AuditLog]:
        """Insert; an upsert is refused."""
        if update_conflicts:
            raise AppendOnlyError
        return super().bulk_create(objs, *args, **kwargs)

    def prune(self, *, before: datetime) -> int:
        """Delete the rows of events from before this time, in small transactions; return how many.

        The one way to delete: for the retention that a law or a contract asks for.
        """
        total = 0
        while deleted := self._prune_some(before):
            total += deleted
        return total

    def _prune_some(self, before: datetime) -> int:
        using = router.db_for_write(self.model)
        with transaction.atomic(using=using), _retention(using):
            old = self.using(using).filter(occurred_at__lt=before).order_by("occurred_at")
            keys = list(old.values_list("pk", flat=True)[:_PRUNED_AT_ONCE])
            portion = self.using(using).filter(pk__in=keys)
            deleted, _ = super(AuditLogQuerySet, portion).delete()
            return deleted


@contextmanager
def _retention(using: str) -> Iterator[None]:
    """Let deletes pass the trigger that keeps the table append-only, within a block."""
    if connections[using].vendor != "postgresql":
        yield
        return
    with connections[using].cursor() as cursor:
        # Local to the transaction, so a failure closes it too.
        cursor.execute("SELECT set_config('signalbox.audit_retention', 'on', true)")
        yield
        cursor.execute("SELECT set_config('signalbox.audit_retention', 'off', true)")


class AuditLog(models.Model):
    """Who did what to which object, when, why and from where."""

    emits_events = False

    event_id = models.UUIDField(editable=False)
    occurred_at = models.DateTimeField(db_index=True)
    action = models.CharField(max_length=200, help_text="Name of the event.")
    actor = models.CharField(max_length=128, default=SYSTEM, help_text='User id, or "system".')
    object_type = models.CharField(max_length=200, help_text='"app.model".')
    object_id = models.CharField(max_length=200, blank=True)
    object_text = models.CharField(max_length=200, blank=True)
    changes = models.JSONField(default=dict, help_text="Field: [old, new].")
    request = models.JSONField(default=dict, help_text="Where it came from.")
    data = models.JSONField(default=dict, help_text="What else the event told.")
    correlation_id = models.CharField(max_length=128, blank=True)
    tenant_id = models.CharField(max_length=128, blank=True)

    objects: ClassVar[models.Manager[AuditLog]] = AuditLogQuerySet.as_manager()

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        ordering: ClassVar = ["-occurred_at", "-pk"]
        # Also where Django goes round the default manager.
        base_manager_name = "objects"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["event_id", "object_type", "object_id"], name="signalbox_audit_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["object_type", "object_id"], name="signalbox_audit_object"),
            models.Index(fields=["actor", "occurred_at"], name="signalbox_audit_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type}:{self.object_id} by {self.actor}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert a new row; saving one that exists raises `AppendOnlyError`."""
        if not self._state.adding:
            raise AppendOnlyError
        # A given primary key would otherwise be tried as an UPDATE first.
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, using: str | None = None, keep_parents: bool = False) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError
