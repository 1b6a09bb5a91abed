"""Sends one notification: claim the row, call the provider, keep what became of it.

A provider such as Twilio cannot recognise a repeat, so the row is claimed (pending -> sending)
before the call. Whoever finds a row that is being sent already comes after a worker that died in
the middle, or that is slow: the message may be out, so it is not sent again but marked unknown, for
a person to decide. Failures of which the provider is known to have taken nothing are tried again;
that is why the routes do not use `at_most_once`, which would give those up as well.
"""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.events import Discard, Retry

from .channels import MessageChannel, Outgoing
from .errors import BusyError, NotSentError, OutcomeUnknownError, RefusedError
from .models import Notification, Status
from .signals import notification_queued

logger = logging.getLogger(__name__)


def send(notification_id: int, channel: MessageChannel) -> None:
    """Send a notification unless that was done.

    Raises Discard when there is nothing left to try, Retry when the provider is busy, and
    NotSentError when it failed and may be tried again.
    """
    notification = _claim(notification_id, channel)
    try:
        provider_id = channel.send(_message(notification))
    except NotSentError as error:
        _finish(notification, Status.PENDING, error=error.message)
        if isinstance(error, BusyError):
            raise Retry(after=error.after) from error
        raise
    except RefusedError as error:
        _finish(notification, Status.FAILED, error=error.message)
        raise Discard(error.message) from error
    except OutcomeUnknownError as error:
        _finish(notification, Status.UNKNOWN, error=error.message)
        raise Discard(error.message) from error
    status = Status.LOGGED if provider_id is None else Status.SENT
    _finish(notification, status, provider_id=provider_id or "")


def give_up(notification_id: int, error: str) -> None:
    """Mark a notification as failed that will not be tried again by itself."""
    rows = Notification.objects.filter(pk=notification_id)
    rows.filter(status=Status.PENDING).update(status=Status.FAILED, error=error[:300])
    # An error that no channel knows came in the middle of sending.
    rows.filter(status=Status.SENDING).update(status=Status.UNKNOWN, error=error[:300])


@transaction.atomic
def send_again(notifications: QuerySet[Notification]) -> int:
    """Queue those of the notifications that failed, are unknown or only logged; return how many.

    For a person who has looked: an unknown one may have arrived.
    """
    not_sent = [Status.FAILED, Status.UNKNOWN, Status.LOGGED]
    again = notifications.filter(status__in=not_sent).exclude(address="")
    chosen = list(again.select_for_update().order_by("pk"))
    Notification.objects.filter(pk__in=[each.pk for each in chosen]).update(
        status=Status.PENDING, error=""
    )
    notification_queued.send_many(
        sender=Notification,
        payloads=[{"notification_id": each.pk, "channel": each.channel} for each in chosen],
    )
    return len(chosen)


def _claim(notification_id: int, channel: MessageChannel) -> Notification:
    """Mark a row as being sent and return it. Raises Discard when it is not to be sent."""
    # A delivery that died left its row failed; when a person retries it, the row is due again.
    due = [Status.PENDING, Status.FAILED]
    if channel.repeatable:
        due.append(Status.SENDING)
    rows = Notification.objects.filter(pk=notification_id)
    if rows.filter(status__in=due).update(status=Status.SENDING, error=""):
        return rows.get()
    if rows.filter(status=Status.SENDING).update(
        status=Status.UNKNOWN, error="a worker stopped while it was sending this"
    ):
        logger.warning("notification %s: outcome unknown, not sent again", notification_id)
        raise Discard("outcome unknown")
    found = rows.first()
    raise Discard(f"notification {notification_id} is {found.status if found else 'gone'}")


def _message(notification: Notification) -> Outgoing:
    return Outgoing(
        delivery_id=notification.delivery_id,
        address=notification.address,
        subject=notification.subject,
        body=notification.body,
    )


def _finish(
    notification: Notification, status: Status, *, provider_id: str = "", error: str = ""
) -> None:
    # A row that somebody took for lost meanwhile is settled too, for this call knows better; but
    # its delivery is gone, so pending it would stay for ever.
    mine = [Status.SENDING] if status == Status.PENDING else [Status.SENDING, Status.UNKNOWN]
    rows = Notification.objects.filter(pk=notification.pk, status__in=mine)
    sent_at = timezone.now() if status == Status.SENT else None
    rows.update(status=status, provider_id=provider_id, error=error[:300], sent_at=sent_at)
    if error:
        logger.warning("notification %s: %s, %s", notification.pk, status.value, error)
