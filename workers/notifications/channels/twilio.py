"""Twilio's SDK: one call per message, and what each kind of failure means.

Twilio has no idempotency key for messages, and its SDK neither retries nor times out by itself, so
what matters is whether Twilio can have taken the message. It cannot when no connection was made,
and it did not when it says so; when the answer is lost, nobody knows.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from requests import exceptions as transport
from twilio.base.exceptions import TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3.exceptions import NewConnectionError

from ..conf import conf
from ..errors import BusyError, NotSentError, OutcomeUnknownError, RefusedError
from .base import Outgoing

# Credentials and limits: not the message's fault, and mended without changing it.
_NOT_THE_MESSAGE = frozenset({401, 403, 404, 408})
# A gateway that got no answer from Twilio's own servers, which may have done the work.
_GATEWAY_LOST_IT = frozenset({502, 504})
_BUSY = frozenset({429, 503})
_LONGEST_PAUSE = 3600.0

# The SDK logs ten lines per request at INFO, with the account in the address.
_quiet = logging.getLogger("twilio.http_client")
_quiet.setLevel(logging.WARNING)


def send(message: Outgoing) -> str:
    """Send a message and return Twilio's SID."""
    client = _client(
        conf.twilio_account_sid, conf.twilio_auth_token, conf.twilio_base_url, conf.twilio_timeout
    )
    try:
        sent = client.messages.create(
            to=message.address, from_=conf.twilio_from_number, body=message.body
        )
    except (TwilioRestException, TwilioServiceException) as error:
        raise _judge(error.status, error.code) from None
    except transport.RequestException as error:
        raise _judge_transport(error) from error
    return str(sent.sid)


class HttpClient(TwilioHttpClient):  # type: ignore[misc]  # the SDK ships no types
    """Calls `base_url` in place of Twilio's own host, and reads `Retry-After`."""

    def __init__(self, *, base_url: str, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._base = urlsplit(base_url) if base_url else None

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        """Send one request. Raises BusyError when Twilio is busy."""
        if self._base:
            # The SDK knows a host per product and region, but no base address.
            url = (
                urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc).geturl()
            )
        response = super().request(method, url, *args, **kwargs)
        if response.status_code in _BUSY:
            # Here, since the SDK's exceptions do not carry the headers.
            after = pause(response.headers.get("Retry-After"))
            raise BusyError(f"Twilio is busy ({response.status_code})", after=after)
        return response


@lru_cache(maxsize=4)
def _client(account_sid: str, auth_token: str, base_url: str, timeout: float) -> Client:
    http_client = HttpClient(base_url=base_url, timeout=timeout)
    return Client(account_sid, auth_token, http_client=http_client)


def pause(header: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, within bounds (RFC 9110, 10.2.3).

    None when there is none that can be read.
    """
    try:
        seconds = float(header or "")
    except ValueError:
        seconds = _until(header or "")
    return min(max(seconds, 1.0), _LONGEST_PAUSE) if seconds == seconds else None


def _until(date: str) -> float:
    try:
        return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return float("nan")


def _judge(status: int, code: int | None) -> Exception:
    # Twilio's own text repeats the number, so only its code is kept.
    text = f"HTTP {status}, https://www.twilio.com/docs/errors/{code}"
    if status in _GATEWAY_LOST_IT:
        return OutcomeUnknownError(f"Twilio's gateway lost the answer: {text}")
    if 400 <= status < 500 and status not in _NOT_THE_MESSAGE:
        return RefusedError(f"Twilio refused the message: {text}")
    return NotSentError(f"Twilio did not take the message: {text}")


def _judge_transport(error: transport.RequestException) -> Exception:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    never_connected = isinstance(
        error, transport.ConnectTimeout | transport.SSLError | transport.ProxyError
    ) or isinstance(reason, NewConnectionError)
    if never_connected:
        return NotSentError(f"Twilio could not be reached ({type(error).__name__})")
    return OutcomeUnknownError(f"Twilio's answer was lost ({type(error).__name__})")
