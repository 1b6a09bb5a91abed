"""The engine in the admin: what is shown, what is masked and what can be decided there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.events import EventSignal, deliver_pending, event_context
from core.events import admin as module
from core.events.models import Delivery, EventRecord, RouteState, Settlement
from core.events.read_only_admin import BoundedPaginator
from core.events.state import State

from .support import only_delivery, record_route, settled

pytestmark = pytest.mark.django_db

MODELS = ["eventrecord", "delivery", "routestate", "settlement"]


@pytest.fixture
def paid() -> EventSignal:
    """A signal with a sensitive field, which is its key as well."""
    return EventSignal("order.paid", sensitive={"phone"}, key="phone")


@pytest.fixture
def admin_client(client: Client) -> Client:
    """A client of a superuser; without a password, since hashing one takes most of a second."""
    client.force_login(User.objects.create(username="admin", is_staff=True, is_superuser=True))
    return client


def page(client: Client, model: str, *arguments: object, action: str = "changelist") -> str:
    """Return an admin page as text."""
    response = client.get(reverse(f"admin:signalbox_events_{model}_{action}", args=arguments))
    assert response.status_code == 200
    return response.content.decode()


def act(client: Client, model: str, action: str, *keys: object, across: bool = False) -> None:
    """Run an admin action on these rows, or on the whole list."""
    response = client.post(
        reverse(f"admin:signalbox_events_{model}_changelist"),
        {"action": action, "_selected_action": keys, "select_across": str(int(across))},
        follow=True,
    )
    assert response.status_code == 200


def die(signal: EventSignal, **options: Any) -> Delivery:
    """Let a delivery of this signal die, with an error that repeats its payload."""
    calls = record_route(signal, max_attempts=1, **options)

    def fail(events: Any) -> None:
        raise ValueError(f"cannot call {events[0].data.get('phone')}")

    calls.behave = fail
    signal.send(None, phone="+49301234567", amount=3)
    deliver_pending()
    return only_delivery()


def test_nothing_sensitive_is_shown(paid: EventSignal, admin_client: Client) -> None:
    """No page of an event or its delivery has a sensitive value, be it payload, key or error."""
    delivery = die(paid, ordered=True)
    pages = [
        page(admin_client, "eventrecord"),
        page(admin_client, "delivery"),
        page(admin_client, "eventrecord", delivery.event_id, action="change"),
        page(admin_client, "delivery", delivery.pk, action="change"),
    ]
    assert not any("301234567" in text for text in pages)
    assert "amount" in pages[2]
    assert "***" in pages[2]
    assert "cannot call ***" in pages[3]


def test_the_page_of_an_event_tells_what_became_of_it(
    paid: EventSignal, admin_client: Client
) -> None:
    """An event's page has its open deliveries, its history and who caused it."""
    record_route(paid, name="shop.audit")
    cause = uuid4()
    with event_context(actor="u7", correlation_id="request-9"):
        delivery = die(paid, name="shop.bill")
    EventRecord.objects.update(causation_id=cause)
    text = page(admin_client, "eventrecord", delivery.event_id, action="change")
    for expected in ("shop.bill</a>: dead", "shop.audit done", "u7", "request-9", str(cause)):
        assert expected in text


def test_a_damaged_payload_is_told_and_not_shown(paid: EventSignal, admin_client: Client) -> None:
    """What cannot be read cannot be masked, so only the reason is shown."""
    paid.send(None, phone="+49301234567")
    EventRecord.objects.update(data='{"phone": "+49301234567", ')
    text = page(admin_client, "eventrecord", EventRecord.objects.get().pk, action="change")
    assert "cannot be read" in text
    assert "301234567" not in text


@pytest.mark.parametrize("model", MODELS)
def test_nobody_adds_changes_or_deletes(
    paid: EventSignal, admin_client: Client, model: str
) -> None:
    """A superuser too only looks: adding, changing and deleting are refused."""
    die(paid)
    RouteState.objects.get_or_create(name="route")
    Settlement.objects.create(
        route="route", outcome="done", count=1, events=str(uuid4()), settled_at=timezone.now()
    )
    key = {
        "eventrecord": EventRecord,
        "delivery": Delivery,
        "routestate": RouteState,
        "settlement": Settlement,
    }[model].objects.values_list("pk", flat=True)[0]  # type: ignore[attr-defined]  # one of four
    page(admin_client, model)
    text = page(admin_client, model, key, action="change")
    assert 'name="_save"' not in text
    add = admin_client.get(reverse(f"admin:signalbox_events_{model}_add"))
    delete = admin_client.get(reverse(f"admin:signalbox_events_{model}_delete", args=[key]))
    assert (add.status_code, delete.status_code) == (403, 403)
    act(admin_client, model, "delete_selected", key)
    assert EventRecord.objects.exists()
    assert Delivery.objects.exists()


def test_retry_and_discard(paid: EventSignal, admin_client: Client) -> None:
    """The actions of a delivery are those of the command; the history tells who discarded."""
    delivery = die(paid, at_most_once=True)
    act(admin_client, "delivery", "retry", delivery.pk)
    assert only_delivery().state == State.READY
    act(admin_client, "delivery", "discard", delivery.pk)
    assert settled() == {"discarded": 1}
    user = User.objects.get()
    assert Settlement.objects.get().reason == f"discarded in the admin by user {user.pk}"


def test_a_whole_list_names_no_delivery(paid: EventSignal, admin_client: Client) -> None:
    """Retrying all of a list leaves out what must not be repeated unasked."""
    once = die(paid, at_most_once=True)
    other = EventSignal("user.joined")
    calls = record_route(other, name="joined", max_attempts=1)

    def fail(events: Any) -> None:
        raise ValueError

    calls.behave = fail
    other.send(None)
    deliver_pending()
    act(admin_client, "delivery", "retry", once.pk, across=True)
    states = dict(Delivery.objects.values_list("route", "state"))
    assert states == {"route": State.DEAD, "joined": State.READY}


def test_pause_and_resume(paid: EventSignal, admin_client: Client) -> None:
    """Routes are paused and resumed by actions."""
    record_route(paid)
    RouteState.objects.create(name="route")
    act(admin_client, "routestate", "pause", "route")
    assert RouteState.objects.get().paused
    act(admin_client, "routestate", "resume", "route")
    assert not RouteState.objects.get().paused


def test_actions_need_the_permission_to_change(paid: EventSignal, client: Client) -> None:
    """Who may only view sees the list without the actions, and cannot run them."""
    delivery = die(paid)
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(user)
    assert "Retry" not in page(client, "delivery")
    act(client, "delivery", "retry", delivery.pk)
    assert only_delivery().state == State.DEAD
    user.user_permissions.add(Permission.objects.get(codename="change_delivery"))
    assert "Retry" in page(client, "delivery")
    act(client, "delivery", "retry", delivery.pk)
    assert only_delivery().state == State.READY


def test_lists_count_no_further_than_a_limit(
    paid: EventSignal, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of a table of any size reads a bounded number of rows, and no payload."""
    monkeypatch.setattr(BoundedPaginator, "limit", 70)
    paid.send_many(None, [{}] * 90)
    with CaptureQueriesContext(connection) as queries:
        text = page(admin_client, "eventrecord")
    assert "70 events" in text
    about = [query["sql"] for query in queries if "signalbox_events_event" in query["sql"]]
    assert about
    assert all("LIMIT" in sql and '"data"' not in sql for sql in about)


def test_events_are_found_by_id_name_and_correlation(
    paid: EventSignal, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search finds an id anywhere, a whole name or correlation id among the newest."""
    with event_context(correlation_id="request-9"):
        paid.send_many(None, [{}] * 3)
    EventSignal("user.joined").send(None)
    url = reverse("admin:signalbox_events_eventrecord_changelist")

    def found(term: object) -> int:
        return admin_client.get(url, {"q": term}).context["cl"].result_count  # type: ignore[no-any-return]  # untyped

    first = EventRecord.objects.order_by("pk")[0]
    assert [found(term) for term in (first.pk, "order.paid", "request-9", "nothing", uuid4())] == [
        1,
        3,
        3,
        0,
        0,
    ]
    monkeypatch.setattr(module, "_SEARCHED", 2)
    assert [found(term) for term in (first.pk, "order.paid")] == [1, 1]


def test_history_is_found_by_event(paid: EventSignal, admin_client: Client) -> None:
    """The history is searched by the id of an event, from its time on."""
    record_route(paid)
    paid.send(None)
    deliver_pending()
    event = EventRecord.objects.get()
    old = timezone.now() - timedelta(days=9)
    Settlement.objects.create(
        route="old", outcome="done", count=1, events=str(event.pk), settled_at=old
    )
    url = reverse("admin:signalbox_events_settlement_changelist")
    results = admin_client.get(url, {"q": str(event.pk)}).context["cl"].result_list
    assert [row.route for row in results] == ["route"]
    assert not admin_client.get(url, {"q": "no id"}).context["cl"].result_list
    text = page(admin_client, "settlement", Settlement.objects.latest("pk").pk, action="change")
    assert text


def test_lists_are_filtered_by_route_state_and_outcome(
    paid: EventSignal, admin_client: Client
) -> None:
    """The filters offer the routes that code or rows know, and narrow the lists."""
    die(paid, name="shop.bill")
    url = reverse("admin:signalbox_events_delivery_changelist")
    assert "shop.bill" in admin_client.get(url).content.decode()
    for query, count in (
        ({"route": "shop.bill"}, 1),
        ({"route": "other"}, 0),
        ({"state__exact": "3"}, 1),
        ({"state__exact": "0"}, 0),
    ):
        assert admin_client.get(url, query).context["cl"].result_count == count
    url = reverse("admin:signalbox_events_settlement_changelist")
    assert admin_client.get(url, {"outcome": "done"}).context["cl"].result_count == 0
