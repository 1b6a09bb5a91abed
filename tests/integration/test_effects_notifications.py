"""Requests and rules become notifications; those that have to be sent go out once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.core import mail
from django.db import connection, transaction
from django.test import Client

from config.demo.fakes import BAD_NUMBER, Failure, FakeServer, fake_server
from core.events import Discard, EventSignal, capture_events, deliver_pending, registry
from core.events.models import Delivery, EventRecord, Settlement
from core.events.payload import decode
from core.signals.notification_events import notification_requested
from workers.notifications import routes
from workers.notifications.channels import CHANNELS
from workers.notifications.models import (
    Notification,
    NotificationPreference,
    NotificationTemplate,
    Status,
)
from workers.notifications.routes import notifies
from workers.notifications.sending import send, send_again

NUMBER = "+491711234567"
parcel_sent = EventSignal("parcel.sent", sensitive={"phone"})

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def twilio(settings: Any) -> Iterator[FakeServer]:
    """A fake Twilio that the settings point to."""
    with fake_server() as fakes:
        settings.TWILIO_ACCOUNT_SID = "AC1"
        settings.TWILIO_AUTH_TOKEN = "token"
        settings.TWILIO_FROM_NUMBER = "+15005550006"
        settings.TWILIO_BASE_URL = fakes.url
        settings.TWILIO_TIMEOUT_SECONDS = 0.3
        yield fakes


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test add rules of its own, and take them away again."""
    known, patterns = dict(routes._rules), dict(routes._created._patterns)
    yield
    routes._rules.clear()
    routes._rules.update(known)
    routes._created._patterns = patterns
    routes._created.add()


def ask(**payload: Any) -> None:
    notification_requested.send(sender=None, **payload)


def ask_sms(**payload: Any) -> None:
    ask(**{"channel": "sms", "recipient_id": "7", "address": NUMBER, "body": "Hello", **payload})


def status() -> str:
    return str(Notification.objects.get().status)


def test_in_the_app_the_row_is_the_message() -> None:
    """A request without a channel is shown in the app, and nothing is sent."""
    ask(recipient_id="7", subject="Hi", body="{literally}")
    assert deliver_pending()["notifications.create"] == {"done": 1}
    found = Notification.objects.get()
    assert (found.channel, found.recipient, found.status) == ("in_app", "7", Status.SENT)
    assert (found.subject, found.body) == ("Hi", "{literally}")
    assert found.sent_at is not None
    assert found.delivery_id.startswith(str(found.event_id))


def test_an_sms_goes_out_and_its_outcome_is_kept(twilio: FakeServer) -> None:
    """The row says that it was sent, and Twilio's id of it."""
    ask_sms()
    deliver_pending()
    found = Notification.objects.get()
    assert (found.status, found.provider_id[:2]) == (Status.SENT, "SM")
    assert [item.data["To"] for item in twilio.received("twilio")] == [NUMBER]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("ask", "waits"), [(ask, "off"), (ask_sms, "on")])
def test_only_what_nobody_sends_is_written_without_the_disk(ask: Any, waits: str) -> None:
    """A crash that forgot a queued SMS that was sent would have it sent again as another one."""
    with capture_events() as events:
        ask(recipient_id="7", body="Hi")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        routes.create_notifications([replace(event, delivery_id="d-1") for event in events])
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == (waits,)


def test_numbers_and_texts_stay_out_of_the_second_event() -> None:
    """What travels to the sending route is the row's id, not the number."""
    ask_sms()
    deliver_pending()
    record = EventRecord.objects.get(name="notification.queued")
    assert decode(record.data) == {
        "notification_id": Notification.objects.get().pk,
        "channel": "sms",
    }


def test_the_number_is_sensitive_in_the_request() -> None:
    """The signal itself keeps address and text out of logs, admin, audit and analytics."""
    assert {"address", "body", "context"} <= notification_requested.sensitive


def test_a_busy_twilio_is_waited_for(twilio: FakeServer) -> None:
    """After a 503 the notification is pending, its delivery waits, and then it goes out once."""
    twilio.fail("twilio", Failure(status=503))
    ask_sms()
    assert deliver_pending()["notifications.send-sms"] == {"retried": 1}
    assert status() == Status.PENDING
    deliver_pending(include_scheduled=True)
    assert status() == Status.SENT
    assert len(twilio.received("twilio")) == 1


def test_a_failure_is_counted_and_tried_again(twilio: FakeServer) -> None:
    """A 500 counts as a failure; the next attempt sends."""
    twilio.fail("twilio", Failure(status=500))
    ask_sms()
    assert deliver_pending()["notifications.send-sms"] == {"failed": 1}
    deliver_pending(include_scheduled=True)
    assert status() == Status.SENT


def test_a_bad_number_fails_at_once(twilio: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """A permanent refusal is final; the row and the history say why, without the number."""
    with caplog.at_level(logging.DEBUG):
        ask_sms(address=BAD_NUMBER)
        assert deliver_pending()["notifications.send-sms"] == {"discarded": 1}
    found = Notification.objects.get()
    assert found.status == Status.FAILED
    assert "21211" in found.error
    history = Settlement.objects.get(outcome="discarded").reason
    assert "21211" in history
    assert BAD_NUMBER not in caplog.text + history + found.error
    deliver_pending(include_scheduled=True)
    assert twilio.requests("twilio") == 1


@pytest.mark.parametrize("failure", [Failure(lose_reply=True), Failure(delay=0.6)])
def test_a_lost_answer_is_left_to_a_person(twilio: FakeServer, failure: Failure) -> None:
    """Nobody knows whether it went out, so it does not go out again by itself."""
    twilio.fail("twilio", failure)
    ask_sms()
    deliver_pending()
    deliver_pending(include_scheduled=True)
    assert status() == Status.UNKNOWN
    assert twilio.requests("twilio") == 1


def test_a_worker_that_died_while_sending_leaves_it_to_a_person(twilio: FakeServer) -> None:
    """Whoever comes after it finds the row being sent, and does not send again."""
    ask_sms()
    deliver_pending()
    Notification.objects.update(status=Status.SENDING)
    with pytest.raises(Discard, match="unknown"):
        send(Notification.objects.get().pk, CHANNELS["sms"])
    assert status() == Status.UNKNOWN
    assert len(twilio.received("twilio")) == 1


def test_a_delivery_that_comes_twice_sends_once(twilio: FakeServer) -> None:
    """At least once is the engine's promise; the claim of the row makes it once."""
    ask_sms()
    deliver_pending()
    with pytest.raises(Discard, match="is sent"):
        send(Notification.objects.get().pk, CHANNELS["sms"])
    assert len(twilio.received("twilio")) == 1


def test_a_person_may_send_again(twilio: FakeServer) -> None:
    """What failed or is unknown goes out once more when somebody says so; nothing else does."""
    twilio.fail("twilio", Failure(lose_reply=True))
    ask_sms()
    deliver_pending()
    assert send_again(Notification.objects.all()) == 1
    deliver_pending()
    assert status() == Status.SENT
    assert send_again(Notification.objects.all()) == 0


def test_without_twilio_it_was_only_logged(
    twilio: FakeServer, settings: Any, admin_client: Client
) -> None:
    """The row does not claim that it was sent; with credentials a person may have it sent."""
    settings.TWILIO_AUTH_TOKEN = ""
    ask_sms()
    deliver_pending()
    found = Notification.objects.get()
    assert (found.status, found.provider_id, found.sent_at) == (Status.LOGGED, "", None)
    page = admin_client.get("/admin/signalbox_notifications/notification/").content.decode()
    assert '<td class="field-status">only logged</td>' in page
    assert twilio.requests("twilio") == 0
    settings.TWILIO_AUTH_TOKEN = "token"
    assert send_again(Notification.objects.all()) == 1
    deliver_pending()
    assert status() == Status.SENT
    assert len(twilio.received("twilio")) == 1


def test_a_dead_delivery_leaves_a_failed_notification(twilio: FakeServer) -> None:
    """When the engine gives up, the row says failed; a retry by a person sends it."""
    twilio.fail("twilio", Failure(times=25, status=500))
    ask_sms()
    while not Delivery.objects.filter(state=3).exists():
        deliver_pending(include_scheduled=True)
    assert status() == Status.FAILED
    Delivery.objects.update(state=0, failures=0)
    deliver_pending()
    assert status() == Status.SENT


def test_an_error_that_no_channel_knows_ends_as_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake in the middle of sending leaves nothing "being sent" for ever."""

    def fail(message: Any) -> str:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(CHANNELS["email"], "send", fail)
    ask(channel="email", address="ada@example.org", body="Hello")
    while not Delivery.objects.filter(state=3).exists():
        deliver_pending(include_scheduled=True)
    assert status() == Status.UNKNOWN


def test_a_mail_goes_out_with_its_text() -> None:
    """E-mail uses Django's backend; a line break cannot get into its headers."""
    ask(channel="email", address="ada@example.org", subject="Hi\nBcc: all", body="Hello")
    deliver_pending()
    assert status() == Status.SENT
    (sent,) = mail.outbox
    assert (sent.to, sent.subject, sent.body) == (["ada@example.org"], "Hi Bcc: all", "Hello")


def test_a_mail_cut_off_is_sent_again() -> None:
    """A repeat of a mail can be recognised by its Message-ID, so none is left unsent."""
    ask(channel="email", address="ada@example.org", body="Hello")
    deliver_pending()
    Notification.objects.update(status=Status.SENDING)
    send(Notification.objects.get().pk, CHANNELS["email"])
    first, second = mail.outbox
    assert first.extra_headers == second.extra_headers


@pytest.mark.parametrize("channel", ["sms", "email"])
@pytest.mark.parametrize("address", ["", "ada@example.org\nBcc: all", "x" * 321])
def test_without_a_usable_address_it_fails(channel: str, address: str) -> None:
    """A request that cannot be sent is stored as failed, and its neighbours go on."""
    ask(channel=channel, recipient_id="7", body="Hello", address=address)
    ask(recipient_id="7", body="Hello")
    deliver_pending()
    failed = Notification.objects.get(channel=channel)
    assert (failed.status, failed.error) == (
        Status.FAILED,
        f"there is no usable address for {channel}",
    )
    assert Notification.objects.filter(status=Status.SENT).count() == 1


def test_a_template_is_filled_per_channel() -> None:
    """A named text has one form per channel, filled from the context."""
    for channel in ("sms", "in_app"):
        NotificationTemplate.objects.create(
            name="code", channel=channel, subject="", body=f"{channel}: {{code}}"
        )
    ask(
        channels=["sms", "in_app"],
        address=NUMBER,
        template="code",
        context={"code": "0420"},
        recipient_id="7",
    )
    deliver_pending()
    found = dict(Notification.objects.values_list("channel", "body"))
    assert found == {"sms": "sms: 0420", "in_app": "in_app: 0420"}


@pytest.mark.parametrize(
    ("context", "error"), [({}, "needs code"), ({"code": 1}, "no template 'missing'")]
)
def test_what_does_not_fit_is_not_sent(
    twilio: FakeServer, context: dict[str, Any], error: str
) -> None:
    """A variable or a template that is missing fails the notification with a clear error."""
    NotificationTemplate.objects.create(name="code", channel="sms", body="{code}")
    ask_sms(template="missing" if context else "code", context=context)
    deliver_pending()
    found = Notification.objects.get()
    assert (found.status, found.body) == (Status.FAILED, "")
    assert error in found.error
    assert twilio.requests("twilio") == 0


def test_people_choose_their_channels() -> None:
    """A channel that is switched off is not used, unless it is mandatory; the preferred one is."""
    NotificationPreference.objects.create(recipient="7", channel="sms", enabled=False)
    NotificationPreference.objects.create(recipient="7", channel="email", enabled=True)
    ask_sms()
    ask_sms(mandatory=True)
    ask(recipient_id="7", address="ada@example.org", body="Hello")
    deliver_pending()
    found = Notification.objects.order_by("pk").values_list("channel", "status")
    assert sorted(found) == [
        ("email", Status.SENT),
        ("sms", Status.SENT),
        ("sms", Status.SUPPRESSED),
    ]


def test_an_unknown_channel_is_dead_and_its_neighbours_are_not() -> None:
    """A request that makes no sense fails alone, with an error that names the channels."""
    ask(channel="pigeon", body="Hello")
    ask(recipient_id="7", body="Hello")
    assert deliver_pending()["notifications.create"] == {"done": 1, "failed": 1}
    assert "in_app, sms, email" in (Delivery.objects.get().error or "")


@pytest.mark.usefixtures("rules")
def test_a_rule_tells_somebody_of_an_event(twilio: FakeServer) -> None:
    """One line in an app's routes turns its events into notifications; repeating it does not."""
    notifies(parcel_sent, recipient="buyer_id", subject="Sent", body="{count} parcels")
    notifies(parcel_sent, recipient="buyer_id", subject="Sent", body="{count} parcels")
    notifies("parcel.*", channel="sms", address="phone", body="On its way")
    assert [route.name for route in registry.routes(parcel_sent)].count("notifications.create") == 1
    parcel_sent.send(sender=None, buyer_id="7", count=2, phone=NUMBER)
    deliver_pending()
    found = Notification.objects.order_by("channel").values_list("channel", "body", "status")
    assert list(found) == [
        ("in_app", "2 parcels", Status.SENT),
        ("sms", "On its way", Status.SENT),
    ]
    assert len(twilio.received("twilio")) == 1


def test_the_admin_shows_the_outcome_but_not_the_message(admin_client: Client) -> None:
    """Staff see what became of a notification; number and text are hidden."""
    ask_sms(body="Your code is 0420")
    deliver_pending()
    Notification.objects.update(status=Status.UNKNOWN)
    url = "/admin/signalbox_notifications/notification/"
    pk = Notification.objects.get().pk
    for page in (url, f"{url}{pk}/change/"):
        text = admin_client.get(page).content.decode()
        assert "67" in text
        assert NUMBER not in text
        assert "0420" not in text
    assert admin_client.get(f"{url}add/").status_code == 403
    action = {"action": "send_again", "_selected_action": [pk]}
    assert "1 queued" in admin_client.post(url, action, follow=True).content.decode()
    assert status() == Status.PENDING
