"""The JSON API. Views check who asks and what they sent; `services` does the work.

Whoever asks, by session or token, is the actor of the events: the middleware sees to it.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, JsonResponse
from django.middleware.csrf import get_token
from django.views import View

from core.exceptions import AuthenticationError, NotFoundError
from core.models import PlatformFeeConfig
from core.utils.logger import StructuredLogger

from . import services
from .api import (
    figures_json,
    happening_json,
    order_json,
    require_owner,
    require_staff,
    require_user,
)
from .forms import FeeForm, HappeningForm, OrderForm, SignInForm, parse
from .listing import on_sale
from .models import Happening, Order, SalesFigures

log = StructuredLogger(__name__)


class SessionView(View):
    """Sign in and out; GET gives the token to send as X-CSRFToken with every change."""

    def get(self, request: HttpRequest) -> JsonResponse:
        return _session(request)

    def post(self, request: HttpRequest) -> JsonResponse:
        user = authenticate(request, **parse(SignInForm, request))
        if user is None:
            raise AuthenticationError("Wrong username or password")
        login(request, user)
        return _session(request)

    def delete(self, request: HttpRequest) -> JsonResponse:
        logout(request)
        return _session(request)


class HappeningsView(View):
    """What is on, and publishing something new."""

    def get(self, request: HttpRequest) -> JsonResponse:
        return JsonResponse({"happenings": on_sale()})

    def post(self, request: HttpRequest) -> JsonResponse:
        require_user(request)
        wanted = parse(HappeningForm, request)
        require_owner(request, wanted["organiser"])
        return JsonResponse(happening_json(services.publish(**wanted)), status=201)


class HappeningView(View):
    """One happening."""

    def get(self, request: HttpRequest, pk: UUID) -> JsonResponse:
        return JsonResponse(happening_json(_happening(pk)))


class StatsView(View):
    """How a happening sells, for its organiser."""

    def get(self, request: HttpRequest, pk: UUID) -> JsonResponse:
        happening = _happening(pk)
        require_owner(request, happening.organiser)
        figures = SalesFigures.objects.filter(pk=pk).first()
        return JsonResponse(figures_json(figures or SalesFigures(happening=happening)))


class OrdersView(View):
    """Buying tickets."""

    def post(self, request: HttpRequest) -> JsonResponse:
        buyer = require_user(request)
        order, is_new = services.buy(buyer=buyer, **parse(OrderForm, request))
        log.info("order placed" if is_new else "order placed before", order_id=str(order.pk))
        return JsonResponse(order_json(order), status=201 if is_new else 200)


class OrderView(View):
    """One of the user's own orders."""

    def get(self, request: HttpRequest, pk: UUID) -> JsonResponse:
        return JsonResponse(order_json(_own_order(request, pk)))


class CancelView(View):
    """Cancelling one of the user's own orders."""

    def post(self, request: HttpRequest, pk: UUID) -> JsonResponse:
        return JsonResponse(order_json(services.cancel(order=_own_order(request, pk))))


class PlatformFeeView(View):
    """The platform fee, which staff may change."""

    def get(self, request: HttpRequest) -> JsonResponse:
        return JsonResponse({"percentage": PlatformFeeConfig.get_fee_percentage()})

    def put(self, request: HttpRequest) -> JsonResponse:
        user = require_staff(request)
        config = PlatformFeeConfig.get_current_config()
        config.fee_percentage = parse(FeeForm, request)["percentage"]
        config.updated_by = user
        config.save()
        return JsonResponse({"percentage": config.fee_percentage})


def _session(request: HttpRequest) -> JsonResponse:
    user: Any = request.user
    name = user.get_username() if user.is_authenticated else None
    return JsonResponse({"user": name, "csrf_token": get_token(request)})


def _happening(pk: UUID) -> Happening:
    happening: Happening | None = (
        Happening.objects.select_related("organiser").filter(pk=pk).first()
    )
    if happening is None:
        raise NotFoundError("There is no such happening", details={"happening": pk})
    return happening


def _own_order(request: HttpRequest, pk: UUID) -> Order:
    order: Order | None = Order.objects.filter(pk=pk, buyer=require_user(request)).first()
    if order is None:
        raise NotFoundError("There is no such order", details={"order": pk})
    return order
