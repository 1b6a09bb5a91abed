"""The JSON API: who may do what, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.events import capture_events
from core.models import PlatformFeeConfig
from examples.tickets import services
from examples.tickets.models import Happening, Order, Organiser
from examples.tickets.services import Item

Make = Callable[..., Happening]
SignIn = Callable[[Any], Client]


def send(client: Client, method: str, name: str, body: Any = None, **kwargs: Any) -> Any:
    url = reverse(f"tickets:{name}", kwargs=kwargs or None)
    with capture_events():
        return client.generic(method, url, _json(body), content_type="application/json")


def _json(body: Any) -> Any:
    import json

    return body if isinstance(body, bytes) else json.dumps(body or {})


def order_of(happening: Happening, **fields: Any) -> dict[str, Any]:
    items = [{"happening": str(happening.pk), "quantity": 2}]
    return {"token": "token-001", "items": items, "phone": "+4915123456"} | fields


def test_signing_in_and_out(person: Callable[..., Any], client: Client) -> None:
    """A session begins with name and password and ends with DELETE."""
    user = person("ann")
    user.set_password("right horse")
    user.save()
    wrong = send(client, "POST", "session", {"username": "ann", "password": "wrong"})
    assert (wrong.status_code, wrong.json()["error_code"]) == (401, "AUTHENTICATION_ERROR")
    right = send(client, "POST", "session", {"username": "ann", "password": "right horse"})
    assert right.json()["user"] == "ann"
    assert send(client, "DELETE", "session").json()["user"] is None


def test_changes_need_the_csrf_token(buyer: Any, happening: Make) -> None:
    """A page of another site cannot buy with somebody's session."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(buyer)
    assert send(client, "POST", "orders", order_of(happening())).status_code == 403
    token = send(client, "GET", "session").json()["csrf_token"]
    client.defaults["HTTP_X_CSRFTOKEN"] = token
    assert send(client, "POST", "orders", order_of(happening())).status_code == 201


def test_the_list_shows_what_a_buyer_pays(client: Client, happening: Make) -> None:
    """The price in the list includes the fee, and what has begun is not listed."""
    happening()
    happening(title="Gone", starts_at=timezone.now() - timedelta(days=1))
    (found,) = send(client, "GET", "happenings").json()["happenings"]
    assert (found["title"], found["price"], found["available"]) == ("Night Train", "22.00", 10)


def test_buying(buyer: Any, happening: Make, signed_in: SignIn) -> None:
    """A new order answers 201, the same token again 200 with the same order."""
    client, order = signed_in(buyer), order_of(happening())
    first = send(client, "POST", "orders", order)
    again = send(client, "POST", "orders", order)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["total"] == "44.00"


def test_buying_needs_a_user(client: Client, happening: Make) -> None:
    """Who is not signed in is told so in the common error body."""
    answer = send(client, "POST", "orders", order_of(happening()))
    assert answer.status_code == 401
    assert answer.json() == {
        "success": False,
        "error": "Authentication is needed.",
        "error_code": "AUTHENTICATION_ERROR",
        "details": {},
    }


def test_sold_out_is_a_conflict(buyer: Any, happening: Make, signed_in: SignIn) -> None:
    """The error says what is sold out and how many tickets are left."""
    full = happening(capacity=1)
    answer = send(signed_in(buyer), "POST", "orders", order_of(full))
    assert (answer.status_code, answer.json()["error_code"]) == (409, "SOLD_OUT")
    assert answer.json()["details"] == {"happening": str(full.pk), "available": 1}


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"token": "short"}, "token"),
        ({"token": "x" * 65}, "token"),
        ({"token": "nul\x00inside"}, "token"),
        ({"phone": "0151 234"}, "phone"),
        ({"items": []}, "items"),
        ({"items": "many"}, "items"),
        ({"items": [None]}, "items"),
        ({"items": [{"happening": "x", "quantity": 1}]}, "items"),
        ({"items": [{"happening": str(uuid4()), "quantity": 0}]}, "items"),
        ({"items": [{"happening": str(uuid4()), "quantity": 21}]}, "items"),
        ({"items": [{"happening": str(uuid4()), "quantity": 1}] * 11}, "items"),
    ],
)
def test_bad_fields_are_named(
    buyer: Any, happening: Make, signed_in: SignIn, fields: dict[str, Any], wrong: str
) -> None:
    """A bad field is reported by name, and nothing is sold."""
    answer = send(signed_in(buyer), "POST", "orders", order_of(happening(), **fields))
    assert answer.status_code == 400
    assert list(answer.json()["details"]) == [wrong]
    assert not Order.objects.exists()


def test_a_happening_named_twice_is_refused(buyer: Any, happening: Make, signed_in: SignIn) -> None:
    """Two items of one happening would be two lines of one thing."""
    order = order_of(happening())
    order["items"] *= 2
    assert send(signed_in(buyer), "POST", "orders", order).status_code == 400


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_not_a_json_object_is_refused(buyer: Any, signed_in: SignIn, body: bytes) -> None:
    """Anything but a JSON object answers 400."""
    assert send(signed_in(buyer), "POST", "orders", body).status_code == 400


def test_orders_are_private(
    person: Callable[..., Any], buyer: Any, happening: Make, signed_in: SignIn
) -> None:
    """Other people's orders do not exist for me: neither to see nor to cancel."""
    with capture_events():
        order, _ = services.buy(buyer=buyer, token="t", items=[Item(happening().pk, 1)])
    stranger = signed_in(person("stranger"))
    assert send(stranger, "GET", "order", pk=order.pk).status_code == 404
    assert send(stranger, "POST", "cancel", pk=order.pk).status_code == 404
    assert send(signed_in(buyer), "GET", "order", pk=order.pk).json()["id"] == str(order.pk)


def test_cancelling(buyer: Any, happening: Make, signed_in: SignIn) -> None:
    """A cancelled order says when it was cancelled."""
    with capture_events():
        order, _ = services.buy(buyer=buyer, token="t", items=[Item(happening().pk, 1)])
    answer = send(signed_in(buyer), "POST", "cancel", pk=order.pk)
    assert answer.json()["cancelled_at"] is not None


def test_only_the_owner_publishes(
    owner: Any, buyer: Any, organiser: Organiser, signed_in: SignIn
) -> None:
    """An organiser's happenings are published by its owner or by staff."""
    wanted = {
        "organiser": str(organiser.pk),
        "title": "Night Train",
        "starts_at": (timezone.now() + timedelta(days=1)).isoformat(),
        "price": "20.00",
        "capacity": 10,
    }
    assert send(signed_in(buyer), "POST", "happenings", wanted).status_code == 403
    answer = send(signed_in(owner), "POST", "happenings", wanted)
    assert (answer.status_code, answer.json()["available"]) == (201, 10)


def test_figures_are_for_the_owner(
    owner: Any, buyer: Any, happening: Make, signed_in: SignIn
) -> None:
    """Who does not own the organiser does not see how it sells."""
    night = happening()
    assert send(signed_in(buyer), "GET", "stats", pk=night.pk).status_code == 403
    assert send(signed_in(owner), "GET", "stats", pk=night.pk).json()["tickets"] == 0


def test_only_staff_changes_the_fee(
    person: Callable[..., Any], buyer: Any, signed_in: SignIn
) -> None:
    """The fee that staff sets holds for the next purchase and names who set it."""
    boss = person("boss", is_staff=True)
    new = {"percentage": "12.50"}
    assert send(signed_in(buyer), "PUT", "platform-fee", new).status_code == 403
    assert send(signed_in(boss), "PUT", "platform-fee", new).json() == new
    assert PlatformFeeConfig.get_current_config().updated_by == boss
    assert PlatformFeeConfig.calculate_final_price(Decimal(100)) == Decimal("112.50")


def test_a_fee_over_100_percent_is_refused(person: Callable[..., Any], signed_in: SignIn) -> None:
    """The API checks the fee before the model has to."""
    boss = person("boss", is_staff=True)
    answer = send(signed_in(boss), "PUT", "platform-fee", {"percentage": "101"})
    assert answer.status_code == 400


def test_events_name_the_buyer_as_actor(buyer: Any, happening: Make, signed_in: SignIn) -> None:
    """Whatever a request fires says who asked for it."""
    client, night = signed_in(buyer), happening()
    with capture_events() as events:
        client.post(reverse("tickets:orders"), order_of(night), content_type="application/json")
    assert {event.actor_id for event in events} == {str(buyer.pk)}
