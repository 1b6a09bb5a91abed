"""Which events become notifications, and through which channel they go out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from django.dispatch import receiver

from core.events import Event, EventSignal, delivery_died, registry
from core.signals.notification_events import notification_requested
from workers.growing_route import GrowingRoute

from .channels import CHANNELS
from .creation import create
from .drafts import Draft, Rule, requested
from .sending import give_up, send
from .signals import notification_queued

_rules: dict[str, list[Rule]] = defaultdict(list)


def create_notifications(events: list[Event]) -> None:
    """Store the notifications that these events ask for."""
    create([(event, draft) for event in events for draft in _drafts(event)])


def _drafts(event: Event) -> Iterator[Draft]:
    if event.name == notification_requested.name:
        yield from requested(event)
    for pattern, rules in _rules.items():
        if fnmatchcase(event.name, pattern):
            yield from (rule.draft(event) for rule in rules)


_created = GrowingRoute(
    create_notifications,
    name="notifications.create",
    queue="notifications",
    batch_size=500,
    atomic=True,
    lease=15,
    replay=False,
)


def notifies(*signals_or_globs: EventSignal | str, **rule: Any) -> None:
    """Tell somebody whenever one of these events happens; the keywords are those of `Rule`.

    `notifies(order_paid, channel="sms", recipient="buyer_id", address="phone", body="Paid: {sum}")`
    in the `routes.py` of an app is all that it takes.
    """
    added = Rule(**rule)
    for each in signals_or_globs:
        rules = _rules[each if isinstance(each, str) else each.name]
        # The same line twice, as of a module that was reloaded, tells nobody twice.
        rules.extend([added] if added not in rules else [])
    _created.add(*signals_or_globs)


_created.add(notification_requested)


# One line per channel, so that each can be paused, and fails, for itself.
@registry.route(
    notification_queued,
    name="notifications.send-sms",
    queue="notifications",
    when=lambda event: event.data["channel"] == "sms",
    # Longer than Twilio may take to connect and to answer.
    lease=30,
    replay=False,
)
def send_sms(event: Event) -> None:
    """Send a queued SMS."""
    send(event.data["notification_id"], CHANNELS["sms"])


@registry.route(
    notification_queued,
    name="notifications.send-email",
    queue="notifications",
    when=lambda event: event.data["channel"] == "email",
    lease=30,
    replay=False,
)
def send_email(event: Event) -> None:
    """Send a queued e-mail."""
    send(event.data["notification_id"], CHANNELS["email"])


@receiver(delivery_died, dispatch_uid="notifications.give-up")
def give_up_dead(sender: str, event: Event, error: str, **kwargs: Any) -> None:
    """Mark a notification as failed when its delivery is dead."""
    if event.name == notification_queued.name:
        give_up(event.data["notification_id"], error)
