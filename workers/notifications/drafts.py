"""What an event asks to be told, to whom and how: by a rule, or as the request itself says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.events import Event, ModelRef


@dataclass(frozen=True, slots=True)
class Draft:
    """A notification before its text is filled in."""

    # "" is for what the recipient prefers.
    channel: str
    recipient: str = ""
    address: str = field(default="", repr=False)
    template: str = ""
    subject: str = ""
    body: str = ""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    # Without: the text is taken as it stands, braces and all.
    has_variables: bool = True
    # Sent even to people who switched the channel off, as a code they wait for.
    mandatory: bool = False

    def through(self, channel: str) -> Draft:
        """Return this draft for a channel."""
        return replace(self, channel=channel)


@dataclass(frozen=True, slots=True)
class Rule:
    """What to tell when an event happens; `recipient` and `address` name fields of its payload."""

    channel: str = "in_app"
    recipient: str = ""
    address: str = ""
    template: str = ""
    subject: str = ""
    body: str = ""
    mandatory: bool = False

    def draft(self, event: Event) -> Draft:
        """Return what this event gives to tell."""
        return Draft(
            channel=self.channel,
            recipient=_id(event.data.get(self.recipient)),
            address=str(event.data.get(self.address) or ""),
            template=self.template,
            subject=self.subject,
            body=self.body,
            values=event.data,
            mandatory=self.mandatory,
        )


def requested(event: Event) -> Iterator[Draft]:
    """Yield a draft per channel that a `notification.requested` event names.

    The payload has `recipient` (a model instance) or `recipient_id`; `channel` or `channels`, or
    neither for what the person prefers; `address` for a phone number or e-mail; then `template` and
    `context`, or `subject` and `body` to be taken as they stand; and `mandatory`.
    """
    data = event.data
    draft = Draft(
        channel="",
        recipient=_id(data.get("recipient", data.get("recipient_id"))),
        address=str(data.get("address") or ""),
        template=data.get("template") or "",
        subject=data.get("subject") or "",
        body=data.get("body") or "",
        values=data.get("context") or {},
        has_variables=bool(data.get("template")),
        mandatory=bool(data.get("mandatory")),
    )
    for channel in data.get("channels") or [data.get("channel") or ""]:
        yield draft.through(channel)


def _id(value: Any) -> str:
    if isinstance(value, ModelRef):
        return str(value.pk)
    return "" if value is None else str(value)
