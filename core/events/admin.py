"""The engine in the admin: to look, and to decide about deliveries and routes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.events import interventions
from core.events.errors import EventPayloadError
from core.events.history import public_key, public_payload, settlements_of
from core.events.interventions import Intervention
from core.events.models import Delivery, EventRecord, RouteState, Settlement
from core.events.read_only_admin import (
    EngineAdmin,
    OutcomeFilter,
    RouteFilter,
    in_lines,
    link_to_event,
    shortened,
    uuid_of,
)
from core.events.routing import routing
from core.events.selection import Selection, known_routes, needs_naming

_BATCH = 1000
# How soon after an event its history is looked for; further away, the search does that.
_HISTORY = timedelta(hours=1)
_SHOWN = 100
# Lines of a payload that are seen without scrolling.
_MOST_LINES = 30
# The clock that made an id may be ahead of the database's by this much.
_CLOCKS = timedelta(hours=1)
# Events without an index on what is searched: so many of the newest are looked through.
_SEARCHED = 100_000


@admin.register(EventRecord)
class EventRecordAdmin(EngineAdmin):
    """What happened, newest first, with what became of it. Sensitive values are masked."""

    list_display = ("name", "id", "occurred_at", "sender", "actor_id", "tenant_id")
    search_fields = ("id", "name")
    search_help_text = (
        "The id of an event; or a whole name or correlation id, among the newest 100 000 events."
    )
    fields = (
        "id",
        "name",
        "version",
        "occurred_at",
        "sender",
        "masked_key",
        "actor_id",
        "tenant_id",
        "correlation_id",
        "causation",
        "payload",
        "open_deliveries",
        "history",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the payloads out of lists."""
        return super().get_queryset(request).defer("data")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by id, otherwise among the newest events only: the table may be large."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = uuid_of(term)
        if found and queryset.filter(pk=found).exists():
            return queryset.filter(pk=found), False
        oldest = queryset.order_by("-pk").values_list("pk", flat=True)[_SEARCHED:][:1]
        recent = queryset.filter(pk__gt=oldest[0]) if oldest else queryset
        return recent.filter(Q(name=term) | Q(correlation_id=term)), False

    @admin.display(description="key")
    def masked_key(self, record: EventRecord) -> str | None:
        """Return the key, unless it is a sensitive value."""
        return public_key(record)

    @admin.display(description="caused by")
    def causation(self, record: EventRecord) -> str | SafeString:
        """Return a link to the event that was being handled when this one was fired."""
        return link_to_event(record.causation_id) if record.causation_id else "-"

    @admin.display(description="payload")
    def payload(self, record: EventRecord) -> str | SafeString:
        """Return the payload as indented JSON, its sensitive values masked."""
        try:
            data = public_payload(record)
        except EventPayloadError as error:
            return error.message
        text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
        # Not <pre>, whose long lines would need a style of their own, which a policy may forbid.
        area = '<textarea class="vLargeTextField" rows="{}" readonly>{}</textarea>'
        return format_html(area, min(text.count("\n") + 1, _MOST_LINES), text)

    @admin.display(description="deliveries")
    def open_deliveries(self, record: EventRecord) -> str | SafeString:
        """Return the deliveries that are not settled yet."""
        rows = Delivery.objects.using(record._state.db).filter(event_id=record.pk)
        lines = [
            (
                reverse("admin:signalbox_events_delivery_change", args=[row.pk]),
                row.route,
                f"{row.get_state_display()}, attempts {row.attempts} {shortened(row.error)}",
            )
            for row in rows.order_by("pk")[:_SHOWN]
        ]
        return in_lines('<a href="{}">{}</a>: {}', lines) or "none"

    @admin.display(description="history")
    def history(self, record: EventRecord) -> str | SafeString:
        """Return what was settled soon after the event, and where to look for the rest."""
        rows = settlements_of(record, within=_HISTORY)[:_SHOWN]
        lines = [
            (row.settled_at.isoformat(" ", "seconds"), row.route, row.outcome, row.reason)
            for row in rows
        ]
        search = reverse("admin:signalbox_events_settlement_changelist")
        return format_html(
            '{}<p>Settled within an hour of the event. <a href="{}?q={}">Search all of the '
            "history</a> (slow when it is large).</p>",
            in_lines("{}: {} {} {}", lines),
            search,
            record.pk,
        )


@admin.register(Delivery)
class DeliveryAdmin(EngineAdmin):
    """Unfinished work: what is due, held, waiting or dead. Actions retry and discard it."""

    list_display = ("id", "route", "state", "attempts", "failures", "due_at", "short_error")
    list_filter = ("state", RouteFilter)
    fields = (
        "id",
        "event_link",
        "route",
        "state",
        "due_at",
        "attempts",
        "failures",
        "suspect",
        "started",
        "error",
        "failed_at",
    )
    readonly_fields = fields
    actions = ("retry", "discard")

    @admin.display(description="event")
    def event_link(self, delivery: Delivery) -> SafeString:
        """Return a link to the event."""
        return link_to_event(delivery.event_id)

    @admin.display(description="error")
    def short_error(self, delivery: Delivery) -> str:
        """Return the beginning of the last error."""
        return shortened(delivery.error)

    @admin.action(description="Retry: make them due now", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Make dead and waiting deliveries due now."""
        left_out = 0
        if request.POST.get("select_across") == "1":
            # A whole list names none of its rows, so what must not be repeated unasked is kept out.
            careful = [name for name in known_routes() if needs_naming(routing.get(name))]
            left_out = queryset.filter(route__in=careful, state__in=interventions.RETRIED).count()
            queryset = queryset.exclude(route__in=careful)
        done = self._for_each_batch(queryset, interventions.retry)
        self.message_user(request, f"{done} due again.", messages.SUCCESS)
        if left_out:
            self.message_user(
                request,
                f"{left_out} of at_most_once or unknown routes were left out: choose them singly.",
                messages.WARNING,
            )

    @admin.action(description="Discard: settle them without effect", permissions=["operate"])
    def discard(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Settle deliveries that no worker holds as discarded."""
        reason = f"discarded in the admin by user {request.user.pk}"
        done = self._for_each_batch(
            queryset, lambda selection: interventions.discard(selection, reason=reason)
        )
        self.message_user(request, f"{done} discarded.", messages.SUCCESS)

    @staticmethod
    def _for_each_batch(queryset: QuerySet[Any], act: Callable[[Selection], Intervention]) -> int:
        return sum(act(Selection(ids=ids)).total for ids in _batches(queryset))


@admin.register(RouteState)
class RouteStateAdmin(EngineAdmin):
    """The routes, as all workers agree on them. Actions pause and resume them."""

    list_display = ("name", "queue", "paused")
    list_filter = ("paused",)
    fields = ("name", "queue", "paused", "closed_until")
    readonly_fields = fields
    actions = ("pause", "resume")

    @admin.display(description="queue")
    def queue(self, state: RouteState) -> str:
        """Return the route's queue, or that no code has it."""
        route = routing.get(state.name)
        return route.queue if route else "(not registered)"

    @admin.action(description="Pause: let their deliveries accumulate", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Stop the claims of these routes."""
        done = interventions.pause(_named(queryset))
        self.message_user(request, f"{len(done.changed)} paused.", messages.SUCCESS)

    @admin.action(description="Resume", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Let these routes go on."""
        done = interventions.resume(_named(queryset))
        self.message_user(request, f"{len(done.changed)} resumed.", messages.SUCCESS)


@admin.register(Settlement)
class SettlementAdmin(EngineAdmin):
    """What was settled, newest first: each row is one statement's work for one route."""

    list_display = ("settled_at", "route", "outcome", "count", "reason")
    list_filter = (OutcomeFilter, RouteFilter)
    search_fields = ("events",)
    search_help_text = "The id of an event."
    fields = ("route", "outcome", "reason", "count", "settled_at", "event_links")
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the history of an event, in what was settled after its id was made."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = uuid_of(term)
        if found is None:
            return queryset.none(), False
        made = datetime.fromtimestamp((found.int >> 80) / 1000, UTC) - _CLOCKS
        return queryset.filter(settled_at__gte=made, events__contains=str(found)), False

    @admin.display(description="events")
    def event_links(self, settlement: Settlement) -> SafeString:
        """Return links to the events."""
        ids = settlement.events.split()[:_SHOWN]
        return in_lines("{}", [(link_to_event(id),) for id in ids])


def _named(states: QuerySet[Any]) -> Selection:
    return Selection(routes=list(states.values_list("name", flat=True)))


def _batches(queryset: QuerySet[Any]) -> Iterator[list[int]]:
    """Yield the keys of the rows; each batch is read before the one ahead is changed."""
    ids = iter(list(queryset.order_by("pk").values_list("pk", flat=True)))
    while batch := list(islice(ids, _BATCH)):
        yield batch
