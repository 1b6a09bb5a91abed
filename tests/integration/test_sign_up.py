"""A sign-up by a code in an SMS, as a domain app writes it with what is here."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction

from config.demo.fakes import FakeServer, fake_server
from core.choices import OTP_LENGTH
from core.events import deliver_pending
from core.exceptions import ValidationError
from core.helpers import generate_otp
from core.services import BaseService
from core.signals import notification_requested, user_registered
from workers.analytics.anonymise import pseudonym
from workers.audit.models import AuditLog
from workers.notifications.models import Notification, Status

PHONE = "+491711234567"

pytestmark = pytest.mark.django_db


class SignUp(BaseService):
    """Asks for a code, and makes a user of whoever knows it."""

    @classmethod
    def begin(cls, phone: str) -> None:
        with cls.atomic():
            code = generate_otp()
            notification_requested.send(
                sender=User,
                recipient_id=phone,
                channel="sms",
                address=phone,
                body=f"Your code is {code}",
                mandatory=True,
            )
            transaction.on_commit(lambda: cache.set(f"otp:{phone}", code, 300))

    @classmethod
    def verify(cls, phone: str, code: str) -> User:
        known = cache.get(f"otp:{phone}")
        if known is None or not secrets.compare_digest(known, code):
            raise ValidationError("The code is wrong or too old", code="BAD_OTP")
        with cls.atomic():
            user = User.objects.create_user(phone)
            user_registered.send(sender=User, user_id=str(user.pk), phone=phone)
            transaction.on_commit(lambda: cache.delete(f"otp:{phone}"))
        return user


@pytest.fixture(autouse=True)
def fakes(settings: Any) -> Iterator[FakeServer]:
    """A fake Twilio and a fake PostHog that the settings point to, and an empty cache."""
    cache.clear()
    with fake_server() as fakes:
        settings.TWILIO_ACCOUNT_SID = "AC1"
        settings.TWILIO_AUTH_TOKEN = "token"
        settings.TWILIO_FROM_NUMBER = "+15005550006"
        settings.TWILIO_BASE_URL = settings.POSTHOG_HOST = fakes.url
        settings.POSTHOG_API_KEY = "phc_test"
        yield fakes
    cache.clear()


def test_from_the_code_to_the_user(
    fakes: FakeServer, django_capture_on_commit_callbacks: Any
) -> None:
    """The code goes out once by SMS after the commit; who sends it back is a user, and counted."""
    with django_capture_on_commit_callbacks(execute=True):
        SignUp.begin(PHONE)
    assert not fakes.received("twilio")
    deliver_pending()
    (sms,) = fakes.received("twilio")
    code = cache.get(f"otp:{PHONE}")
    assert (sms.data["To"], sms.data["Body"]) == (PHONE, f"Your code is {code}")
    assert len(code) == OTP_LENGTH
    assert Notification.objects.get().status == Status.SENT

    with pytest.raises(ValidationError, match="wrong or too old"):
        SignUp.verify(PHONE, "x" * OTP_LENGTH)
    with django_capture_on_commit_callbacks(execute=True):
        user = SignUp.verify(PHONE, code)
    with pytest.raises(ValidationError, match="wrong or too old"):
        SignUp.verify(PHONE, code)
    deliver_pending()
    (counted,) = fakes.received("posthog")
    assert (counted.data["event"], counted.data["distinct_id"]) == (
        "user.registered",
        pseudonym(user.pk),
    )
    assert PHONE not in str(counted.data)
    told = str(list(AuditLog.objects.values()))
    assert "user.registered" in told
    assert PHONE not in told
    assert "Your code" not in told
    assert len(fakes.received("twilio")) == 1


def test_a_sign_up_that_is_rolled_back(fakes: FakeServer) -> None:
    """Nothing is sent, and no code is valid."""
    with transaction.atomic():
        SignUp.begin(PHONE)
        transaction.set_rollback(True)
    deliver_pending()
    assert not fakes.received("twilio")
    assert cache.get(f"otp:{PHONE}") is None
