"""Moments: how a person writes a point in time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from core.events.errors import EventsError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"([0-9]{1,6})([smhdw])")


class InvalidMoment(EventsError, ValueError):
    """This is not a point in time."""

    default_code = "INVALID_MOMENT"


def parse_moment(text: str) -> datetime:
    """Return the time that is meant: a date, a date with a time (ISO 8601), or how long ago.

    Without an offset it is in the current time zone, and a date means its first moment; `90s`,
    `30m`, `2h`, `7d` and `4w` count back from now. Raises InvalidMoment that names the text.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return timezone.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text.strip())
        found = found if timezone.is_aware(found) else timezone.make_aware(found)
        # In UTC, as a database wants it: at the ends of the calendar that is not possible.
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidMoment(
            f"{text!r} is not a time: give a date (2026-03-31), a date and time "
            "(2026-03-31T18:00), or how long ago it was (90s, 30m, 2h, 7d, 4w)"
        ) from None
