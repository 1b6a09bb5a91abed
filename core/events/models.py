"""The engine's tables: the event, the delivery, its history and the routes' state."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.events.state import State, delivery_id


class EventRecord(models.Model):
    """An event that was committed. Rows are only ever added and, after the retention, removed."""

    emits_events = False

    id = models.UUIDField(primary_key=True, editable=False)
    name = models.CharField(max_length=100)
    version = models.SmallIntegerField(default=1)
    # Text, not jsonb: jsonb turns 1e16 into an integer and would lose what the tags keep.
    data = models.TextField()
    sensitive = models.TextField(blank=True, default="")
    sender = models.CharField(max_length=200, blank=True, default="")
    key = models.CharField(max_length=255, null=True, blank=True)
    occurred_at = models.DateTimeField(db_index=True)
    actor_id = models.CharField(max_length=128, null=True, blank=True)
    tenant_id = models.CharField(max_length=128, null=True, blank=True)
    correlation_id = models.CharField(max_length=128, null=True, blank=True)
    causation_id = models.UUIDField(null=True, blank=True)

    class Meta:
        db_table = "signalbox_events_event"
        verbose_name = "event"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


class Delivery(models.Model):
    """An event on its way to one route.

    `due_at` is when a waiting delivery may be claimed, or when the lease of a leased one ends.
    `lane` is the event's key where the route is ordered. `token` names the claim that holds it.
    """

    emits_events = False

    id = models.BigAutoField(primary_key=True)
    # No constraint and no index: each would cost every event more than all lookups by it save,
    # and the table holds unfinished work only.
    event = models.ForeignKey(
        EventRecord,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="deliveries",
    )
    route = models.CharField(max_length=200)
    lane = models.CharField(max_length=255, null=True, blank=True)
    state = models.SmallIntegerField(choices=State, default=State.READY, db_default=State.READY)
    due_at = models.DateTimeField(null=True, blank=True)
    token = models.BigIntegerField(null=True, blank=True)
    attempts = models.IntegerField(default=0, db_default=0)
    failures = models.IntegerField(default=0, db_default=0)
    # A lease ran out on it once: from then on it is claimed alone.
    suspect = models.BooleanField(default=False, db_default=False)
    # It is being handled alone, so a lease that runs out now is its own doing.
    started = models.BooleanField(default=False, db_default=False)
    error = models.TextField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "signalbox_events_delivery"
        verbose_name_plural = "deliveries"
        ordering = ["-id"]
        indexes = [
            models.Index("route", "id", name="events_ready", condition=Q(state=State.READY)),
            models.Index(
                "route", "due_at", name="events_waiting", condition=Q(state=State.WAITING)
            ),
            models.Index("due_at", name="events_leased", condition=Q(state=State.LEASED)),
            models.Index("route", "id", name="events_dead", condition=Q(state=State.DEAD)),
            models.Index(
                "route",
                "lane",
                "id",
                name="events_lane_ready",
                condition=Q(state=State.READY, lane__isnull=False),
            ),
            models.Index(
                "route",
                "lane",
                "id",
                name="events_lane_busy",
                condition=Q(state__in=[State.WAITING, State.LEASED], lane__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return delivery_id(self.event_id, self.pk)


class Settlement(models.Model):
    """History: the deliveries of one route that one statement settled, with the same outcome."""

    emits_events = False

    id = models.BigAutoField(primary_key=True)
    route = models.CharField(max_length=200)
    outcome = models.CharField(max_length=20)
    reason = models.TextField(blank=True, default="", db_default="")
    count = models.IntegerField()
    # The ids of the events, separated by spaces.
    events = models.TextField()
    settled_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "signalbox_events_settlement"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.route}: {self.count} {self.outcome}"


class RouteState(models.Model):
    """What all workers must agree on about a route."""

    emits_events = False

    name = models.CharField(primary_key=True, max_length=200)
    paused = models.BooleanField(default=False, db_default=False)
    # Nothing that is ready lies below it, late commits excepted; see core/events/sweep.py.
    floor = models.BigIntegerField(default=0, db_default=0)
    floor_seen = models.BigIntegerField(default=0, db_default=0)
    # The grants of the rate limit within its period, as JSON: [[seconds since 1970, count], ...].
    grants = models.TextField(default="[]", db_default="[]")
    # Until then the rate limit has nothing to give.
    closed_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "signalbox_events_route"
        verbose_name = "route"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Duty(models.Model):
    """Work that one process does at a time: who takes it holds it until then."""

    emits_events = False

    name = models.CharField(primary_key=True, max_length=100)
    until = models.DateTimeField()
    # What the holder wants to know the next time, as JSON.
    memory = models.TextField(default="{}", db_default="{}")

    class Meta:
        db_table = "signalbox_events_duty"
        verbose_name_plural = "duties"

    def __str__(self) -> str:
        return self.name
