from __future__ import annotations

import logging
from dataclasses import replace
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from core.context import current_context, using_context
from core.events.models import Delivery

from .models import Effect
from .signals import ordered
from .tasks import remind, send_all

logger = logging.getLogger(__name__)


def order(request: HttpRequest) -> JsonResponse:
    """Fire an event, as any view would."""
    run, seconds = request.GET["run"], float(request.GET.get("seconds", 0))
    with transaction.atomic():
        ordered.send(sender="site", run=run, seconds=seconds)
    logger.info("ordered")
    return JsonResponse({})


def remember(request: HttpRequest) -> JsonResponse:
    """Send a task that is no event."""
    remind.delay(password="hunter2")
    return JsonResponse({})


def send(request: HttpRequest) -> JsonResponse:
    """Send tasks in all the ways there are, for somebody and because of something."""
    own = {"actor_id": "ada", "tenant_id": "t-1", "causation_id": UUID(int=7)}
    with using_context(replace(current_context(), **own)):
        return JsonResponse({"steps": send_all()})


def effects(request: HttpRequest) -> JsonResponse:
    """Tell what came of a run, and how many deliveries are open."""
    rows = Effect.objects.filter(run=request.GET["run"]).order_by("id")
    found = list(rows.values("step", "delivery_id", "attempt"))
    return JsonResponse({"effects": found, "open": Delivery.objects.count()})


urlpatterns = [
    path("order/", order),
    path("remember/", remember),
    path("send/", send),
    path("effects/", effects),
]
