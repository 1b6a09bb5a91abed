"""E-mail through Django's backend, and what the answers of a mail server mean."""

from __future__ import annotations

import smtplib
import traceback
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend

from workers.notifications.channels import Outgoing
from workers.notifications.channels.email import EmailChannel
from workers.notifications.errors import NotSentError, RefusedError

MESSAGE = Outgoing("018f:7", "ada@example.org", "Your tickets", "Have a good time!")


class FailingBackend(BaseEmailBackend):
    """Answers every message with `error`."""

    error: Exception

    def send_messages(self, email_messages: Any) -> int:
        raise self.error


def test_a_repeat_has_the_same_message_id() -> None:
    """A message that is sent twice can be recognised as one."""
    ids = [EmailChannel().send(MESSAGE) for _ in range(2)]
    assert [each.extra_headers["Message-ID"] for each in mail.outbox] == ids
    assert ids[0] == ids[1]
    assert mail.outbox[0].to == ["ada@example.org"]


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (
            smtplib.SMTPRecipientsRefused({"ada@example.org": (550, b"no ada@example.org")}),
            RefusedError,
        ),
        (smtplib.SMTPRecipientsRefused({"ada@example.org": (451, b"later")}), NotSentError),
        (smtplib.SMTPDataError(554, b"spam"), RefusedError),
        (smtplib.SMTPAuthenticationError(535, b"who are you"), NotSentError),
        (smtplib.SMTPServerDisconnected("gone"), NotSentError),
        (ConnectionRefusedError("nobody there"), NotSentError),
    ],
)
def test_what_a_failure_means(settings: Any, error: Exception, meaning: type[Exception]) -> None:
    """A permanent refusal is final, anything else is tried again; no error repeats the address."""
    FailingBackend.error = error
    settings.EMAIL_BACKEND = f"{__name__}.FailingBackend"
    with pytest.raises(meaning) as caught:
        EmailChannel().send(MESSAGE)
    assert "ada@" not in "".join(traceback.format_exception(caught.value))
