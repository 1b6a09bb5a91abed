"""E-mail through Django's backend."""

from __future__ import annotations

import smtplib

from django.core.mail import EmailMessage

from ..errors import NotSentError, RefusedError
from .base import Outgoing


class EmailChannel:
    """Sends e-mail. A repeat carries the same Message-ID, by which mailboxes drop doubles."""

    name = "email"
    instant = False
    repeatable = True

    def send(self, message: Outgoing) -> str:
        """Send through `EMAIL_BACKEND` and return the Message-ID."""
        message_id = f"<{message.delivery_id.replace(':', '.')}@signalbox>"
        mail = EmailMessage(
            subject=message.subject,
            body=message.body,
            to=[message.address],
            headers={"Message-ID": message_id},
        )
        try:
            mail.send()
        except smtplib.SMTPRecipientsRefused as error:
            # From None, here and below: the server's words repeat the address, and get logged.
            raise _judge(min(code for code, _ in error.recipients.values())) from None
        except smtplib.SMTPResponseException as error:
            raise _judge(error.smtp_code) from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotSentError(f"the mail server failed ({type(error).__name__})") from None
        return message_id


def _judge(code: int) -> NotSentError | RefusedError:
    # RFC 5321, 4.2.1: 4yz is transient, 5yz permanent.
    if 500 <= code < 600 and code not in _CONFIGURATION:
        return RefusedError(f"the mail server refused the message ({code})")
    return NotSentError(f"the mail server did not take the message ({code})")


# It was not the message but how we logged in, which can be mended (RFC 4954, 6).
_CONFIGURATION = frozenset({530, 534, 535, 538})
