"""Texts of notifications are filled completely or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from workers.notifications.errors import TemplateError
from workers.notifications.models import NotificationTemplate
from workers.notifications.rendering import render


def test_variables_and_formats_are_filled_in() -> None:
    """A variable is replaced by its value, in its format if it has one; `{{` is a brace."""
    values = {"code": "0420", "amount": Decimal("3.5")}
    assert render("{code}: {amount:.2f} {{x}}", values) == "0420: 3.50 {x}"


def test_a_missing_variable_is_an_error_that_names_it() -> None:
    """Nobody gets a half-filled message."""
    with pytest.raises(TemplateError, match="needs amount, code"):
        render("{code} {amount}", {"other": 1})


@pytest.mark.parametrize("text", ["{user.password}", "{items[0]}", "{0}", "{}", "{a!r:{b.c}}"])
def test_only_plain_names_are_variables(text: str) -> None:
    """A text cannot reach into what the values hold."""
    with pytest.raises(TemplateError):
        render(text, {"user": object(), "items": [1], "a": 1, "b": 2})


def test_a_value_that_does_not_fit_its_format_stays_secret() -> None:
    """The error says that a value does not fit, but not which value it was."""
    with pytest.raises(TemplateError) as caught:
        render("{amount:.2f}", {"amount": "s3cret"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("body", ["{unclosed", "{a.b}"])
def test_a_template_with_a_mistake_is_not_saved_in_the_admin(body: str) -> None:
    """The form of a template says what is wrong with its text."""
    with pytest.raises(ValidationError, match="body"):
        NotificationTemplate(name="x", channel="sms", body=body).clean()
