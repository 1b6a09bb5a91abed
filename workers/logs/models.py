"""RequestLog: one row per request. RequestLogLoss: how many records never became one."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models, router, transaction
from django.db.models import F
from django.db.models.functions import Now


class RequestLog(models.Model):
    """Who asked for what, what came of it and how long it took; neither query nor body."""

    emits_events = False

    id = models.UUIDField(primary_key=True, editable=False)
    at = models.DateTimeField()
    method = models.CharField(max_length=20)
    path = models.CharField(max_length=2000, help_text="Without the query.")
    status = models.PositiveSmallIntegerField(
        null=True, help_text="Empty when the request was broken off before it was answered."
    )
    duration_ms = models.FloatField(null=True)
    user_id = models.CharField(max_length=128, blank=True)
    correlation_id = models.CharField(max_length=128, blank=True)
    tenant_id = models.CharField(max_length=128, blank=True)
    route = models.CharField(max_length=200, blank=True, help_text="Pattern of the path.")
    more = models.JSONField(default=dict, help_text="What else the record told.")

    class Meta:
        verbose_name = "request"
        verbose_name_plural = "requests"
        ordering: ClassVar = ["-at", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["at"], name="signalbox_request_at"),
            models.Index(fields=["correlation_id", "at"], name="signalbox_request_trace"),
            models.Index(
                fields=["user_id", "at"],
                name="signalbox_request_user",
                condition=models.Q(user_id__gt=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class LossQuerySet(models.QuerySet["RequestLogLoss"]):
    """Losses as the processes tell them: in all, so that hearing it twice changes nothing."""

    def note(self, *, process: str, host: str, dropped: int, worker: int = 0) -> None:
        """Keep how many records a process has dropped, and a worker could not write, so far."""
        using = router.db_for_write(self.model)
        with transaction.atomic(using=using):
            loss, _ = self.using(using).get_or_create(process=process, defaults={"host": host})
            found = self.using(using).filter(pk=loss.pk)
            if worker:
                found.update(unwritten=F("unwritten") + worker, last_at=Now())
            found.filter(dropped__lt=dropped).update(dropped=dropped, last_at=Now())


class RequestLogLoss(models.Model):
    """How many records of one process were lost."""

    emits_events = False

    process = models.CharField(max_length=64, primary_key=True)
    host = models.CharField(max_length=255)
    dropped = models.PositiveBigIntegerField(
        default=0, help_text="Dropped by the process, since the workers or the broker fell behind."
    )
    unwritten = models.PositiveBigIntegerField(
        default=0, help_text="Not written by workers: a sink failed each time, or it was no record."
    )
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[Any] = LossQuerySet.as_manager()

    class Meta:
        verbose_name = "loss of requests"
        verbose_name_plural = "losses of requests"
        ordering: ClassVar = ["-last_at"]
        indexes: ClassVar = [models.Index(fields=["last_at"], name="signalbox_request_loss_at")]

    def __str__(self) -> str:
        return f"{self.dropped + self.unwritten} of {self.host}"
