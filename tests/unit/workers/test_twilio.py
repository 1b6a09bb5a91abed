"""Twilio's SDK against a local server: what was sent, and what each failure means."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest

from config.demo.fakes import BAD_NUMBER, Failure, FakeServer
from workers.notifications.channels import Outgoing
from workers.notifications.channels.sms import SmsChannel, hidden
from workers.notifications.channels.twilio import pause
from workers.notifications.conf import check_twilio
from workers.notifications.errors import (
    BusyError,
    NotSentError,
    OutcomeUnknownError,
    RefusedError,
)

NUMBER = "+491711234567"
MESSAGE = Outgoing("event:1", NUMBER, body="Your code is 0420")


@pytest.fixture
def twilio(fakes: FakeServer, settings: Any) -> FakeServer:
    """A fake Twilio that the settings point to."""
    settings.TWILIO_ACCOUNT_SID = "AC1"
    settings.TWILIO_AUTH_TOKEN = "token"
    settings.TWILIO_FROM_NUMBER = "+15005550006"
    settings.TWILIO_BASE_URL = fakes.url
    settings.TWILIO_TIMEOUT_SECONDS = 0.3
    return fakes


def test_a_message_goes_out_once(twilio: FakeServer) -> None:
    """Number, sender and text arrive at the configured address, and the SID comes back."""
    assert SmsChannel().send(MESSAGE).startswith("SM")
    (received,) = twilio.received("twilio")
    assert received.data == {
        "To": NUMBER,
        "From": "+15005550006",
        "Body": "Your code is 0420",
    }


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(status=503), BusyError),
        (Failure(status=429), BusyError),
        (Failure(status=500), NotSentError),
        (Failure(status=401), NotSentError),
        (Failure(status=400), RefusedError),
        (Failure(status=502), OutcomeUnknownError),
        (Failure(status=504), OutcomeUnknownError),
        (Failure(delay=0.6), OutcomeUnknownError),
        (Failure(drop=True), OutcomeUnknownError),
        (Failure(lose_reply=True), OutcomeUnknownError),
    ],
)
def test_what_a_failure_means(twilio: FakeServer, failure: Failure, error: type[Exception]) -> None:
    """It may be sent again only when Twilio cannot have taken it, and the call is made once."""
    twilio.fail("twilio", failure)
    with pytest.raises(error):
        SmsChannel().send(MESSAGE)
    assert twilio.requests("twilio") == 1


def test_a_bad_number_is_refused_and_not_repeated_in_the_error(twilio: FakeServer) -> None:
    """The error names Twilio's code but not the number, which its own text repeats."""
    with pytest.raises(RefusedError, match="errors/21211") as caught:
        SmsChannel().send(Outgoing("event:1", BAD_NUMBER, body="x"))
    assert BAD_NUMBER not in str(caught.value)


def test_nobody_listening_means_not_sent(settings: Any, twilio: FakeServer) -> None:
    """A refused connection cannot have sent anything."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.TWILIO_BASE_URL = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(NotSentError):
            SmsChannel().send(MESSAGE)


def test_retry_after_is_obeyed(twilio: FakeServer) -> None:
    """The pause that Twilio asks for reaches the caller."""
    twilio.fail("twilio", Failure(status=429, retry_after="17"))
    with pytest.raises(BusyError) as caught:
        SmsChannel().send(MESSAGE)
    assert caught.value.after == 17


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17), ("0", 1), ("-5", 1), ("1e9", 3600), (None, None), ("soon", None), ("nan", None)],
)
def test_pauses_are_kept_within_bounds(header: str | None, seconds: float | None) -> None:
    """Whatever stands in `Retry-After`, the pause is a second to an hour, or ours to choose."""
    assert pause(header) == seconds


def test_a_date_in_retry_after_is_understood() -> None:
    """A date long past asks for the shortest pause."""
    assert pause("Wed, 21 Oct 2015 07:28:00 GMT") == 1


def test_without_credentials_messages_are_logged_but_not_readable(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The log shows that something would have been sent, neither to whom nor what."""
    settings.TWILIO_AUTH_TOKEN = ""
    with caplog.at_level(logging.INFO):
        assert SmsChannel().send(MESSAGE) is None
    assert "***********67" in caplog.text
    assert NUMBER not in caplog.text
    assert "0420" not in caplog.text


@pytest.mark.parametrize(("number", "shown"), [("+4917", "***17"), ("110", "****"), ("", "****")])
def test_numbers_are_hidden(number: str, shown: str) -> None:
    """At most the last two digits of a number are shown, of a short one none."""
    assert hidden(number) == shown


def test_half_of_the_credentials_is_a_warning(settings: Any) -> None:
    """Whoever sets some of the credentials is told which ones are missing."""
    settings.TWILIO_ACCOUNT_SID = "AC1"
    settings.TWILIO_AUTH_TOKEN = settings.TWILIO_FROM_NUMBER = ""
    (warning,) = check_twilio()
    assert "TWILIO_AUTH_TOKEN, TWILIO_FROM_NUMBER" in warning.msg
    settings.TWILIO_ACCOUNT_SID = ""
    assert check_twilio() == []


def test_a_message_is_not_in_its_repr() -> None:
    """A traceback that shows a message shows neither number nor text."""
    assert NUMBER not in repr(MESSAGE)
    assert "0420" not in repr(MESSAGE)
