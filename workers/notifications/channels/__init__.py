"""The ways to reach a person, each behind the same protocol."""

from __future__ import annotations

from .base import MessageChannel, Outgoing
from .email import EmailChannel
from .in_app import InAppChannel
from .sms import SmsChannel

CHANNELS: dict[str, MessageChannel] = {
    channel.name: channel for channel in (InAppChannel(), SmsChannel(), EmailChannel())
}

__all__ = ["CHANNELS", "MessageChannel", "Outgoing"]
