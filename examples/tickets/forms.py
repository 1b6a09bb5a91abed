"""What the API accepts, checked by Django's forms."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from django import forms
from django.http import HttpRequest

from core.exceptions import ValidationError

from .models import Happening, Organiser
from .services import Item

MAX_ITEMS = 10
MAX_QUANTITY = 20

F = TypeVar("F", bound=forms.BaseForm)


def parse(form_class: type[F], request: HttpRequest) -> dict[str, Any]:
    """Return the cleaned data of a request's JSON body.

    Raises ValidationError with the fields and what is wrong with them.
    """
    try:
        body = orjson.loads(request.body or b"{}")
    except ValueError as error:
        raise ValidationError("The body is not JSON") from error
    if not isinstance(body, dict):
        raise ValidationError("The body is not a JSON object")
    return _cleaned(form_class(body))


def _cleaned(form: forms.BaseForm) -> dict[str, Any]:
    if not form.is_valid():
        raise ValidationError("Some fields are not valid", details=form.errors.get_json_data())
    return form.cleaned_data


class SignInForm(forms.Form):
    """Who wants to sign in."""

    username = forms.CharField(max_length=150)
    password = forms.CharField(max_length=128, strip=False)


class HappeningForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A happening to publish."""

    organiser = forms.ModelChoiceField(Organiser.objects.all())

    class Meta:
        model = Happening
        fields = ["organiser", "title", "starts_at", "price", "capacity"]


class ItemForm(forms.Form):
    """One item of an order."""

    happening = forms.UUIDField()
    quantity = forms.IntegerField(min_value=1, max_value=MAX_QUANTITY)


class OrderForm(forms.Form):
    """An order: a token of the client's choice, items, and a phone number for the SMS."""

    token = forms.CharField(min_length=8, max_length=64)
    phone = forms.RegexField(r"^\+[1-9]\d{6,14}$", required=False)
    items = forms.JSONField()

    def clean_items(self) -> list[Item]:
        """Return the items, each happening once."""
        items = self.cleaned_data["items"]
        if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
            raise forms.ValidationError(f"A list of 1 to {MAX_ITEMS} items is needed")
        cleaned = [self._item(item) for item in items]
        if len({item.happening_id for item in cleaned}) < len(cleaned):
            raise forms.ValidationError("A happening is named twice")
        return cleaned

    @staticmethod
    def _item(item: Any) -> Item:
        form = ItemForm(item if isinstance(item, dict) else {})
        if not form.is_valid():
            raise forms.ValidationError(f"Not an item: {form.errors.as_json()}")
        return Item(form.cleaned_data["happening"], form.cleaned_data["quantity"])


class FeeForm(forms.Form):
    """The new platform fee."""

    percentage = forms.DecimalField(min_value=0, max_value=100, decimal_places=2)
