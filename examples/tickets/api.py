"""What the views share: who is asking, and how things look as JSON."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from core.exceptions import AuthenticationError, AuthorizationError
from core.models import PlatformFeeConfig

from .models import Happening, Order, Organiser, SalesFigures


def require_user(request: HttpRequest) -> Any:
    """Return the user, or raise AuthenticationError."""
    if not request.user.is_authenticated:
        raise AuthenticationError()
    return request.user


def require_staff(request: HttpRequest) -> Any:
    """Return the user, or raise AuthenticationError or AuthorizationError."""
    user = require_user(request)
    if not user.is_staff:
        raise AuthorizationError()
    return user


def require_owner(request: HttpRequest, organiser: Organiser) -> None:
    """Raise unless the user owns `organiser` or is staff."""
    if require_user(request).pk != organiser.owner_id:
        require_staff(request)


def happening_json(happening: Happening) -> dict[str, Any]:
    """Describe a happening, at the price that a buyer pays."""
    return {
        "id": happening.pk,
        "title": happening.title,
        "organiser": happening.organiser.name,
        "starts_at": happening.starts_at,
        "price": PlatformFeeConfig.calculate_final_price(happening.price),
        "available": happening.available,
    }


def order_json(order: Order) -> dict[str, Any]:
    """Describe an order to its buyer."""
    return {
        "id": order.pk,
        "cancelled_at": order.cancelled_at,
        "total": order.total,
        "items": [
            {"happening": line.happening_id, "quantity": line.quantity, "fee": line.fee}
            for line in order.lines.all()
        ],
    }


def figures_json(figures: SalesFigures) -> dict[str, Any]:
    """Describe how a happening sells to its organiser."""
    return {
        "happening": figures.pk,
        "purchases": figures.purchases,
        "refunds": figures.refunds,
        "tickets": figures.tickets,
        "earnings": figures.earnings,
        "fees": figures.fees,
    }
