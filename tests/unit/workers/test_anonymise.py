"""Nothing that tells who somebody is leaves the house."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.events import ModelRef
from workers.analytics.anonymise import NOBODY, anonymous, person, pseudonym
from workers.redaction import to_json

from .conftest import MakeEvent

WHO = "Ada Lovelace"
FIELDS = [
    "name",
    "firstName",
    "buyer_name",
    "email",
    "contactEmail",
    "phone",
    "phone_number",
    "shipping_address",
    "postcode",
    "ip",
    "date_of_birth",
    "password",
    "accessToken",
    "text",
]


@pytest.mark.parametrize("field", FIELDS)
def test_personal_fields_are_left_out_at_any_depth(make_event: MakeEvent, field: str) -> None:
    """A field that is called like personal data or a secret does not leave."""
    data = {field: WHO, "cart": [{"lines": {field: WHO, "quantity": 2}}]}
    assert anonymous(make_event(data=data)) == {"cart": [{"lines": {"quantity": 2}}]}


def test_sensitive_fields_are_left_out_at_any_depth(make_event: MakeEvent) -> None:
    """What the signal declares as sensitive does not leave, also further down."""
    data = {"diagnosis": WHO, "visit": {"diagnosis": WHO, "minutes": 5}}
    event = make_event(data=data, sensitive=frozenset({"diagnosis"}))
    assert anonymous(event) == {"visit": {"minutes": 5}}


@pytest.mark.parametrize(
    "field", ["user_id", "buyer_id", "changed_by", "created_by_id", "userId", "owner"]
)
def test_ids_of_people_become_pseudonyms(make_event: MakeEvent, field: str) -> None:
    """A person's id leaves only as their pseudonym, alone or in a list."""
    assert anonymous(make_event(data={field: 7})) == {field: pseudonym(7)}
    assert anonymous(make_event(data={field: [7, "8"]})) == {field: [pseudonym(7), pseudonym(8)]}
    assert anonymous(make_event(data={field: None})) == {field: None}


def test_many_people_are_told_from_a_number_of_them(make_event: MakeEvent) -> None:
    """A list of people becomes pseudonyms, a count of them stays a number."""
    data = {"members": [7], "guest_ids": [8], "guests": 3}
    assert anonymous(make_event(data=data)) == {
        "members": [pseudonym(7)],
        "guest_ids": [pseudonym(8)],
        "guests": 3,
    }


def test_references_lose_their_text(make_event: MakeEvent) -> None:
    """A reference keeps model and key, and one to a person only the pseudonym."""
    data = {"order": ModelRef("shop.order", 7, WHO), "who": ModelRef("auth.user", 3, WHO)}
    assert anonymous(make_event(data=data)) == {
        "order": {"model": "shop.order", "pk": "7"},
        "who": {"model": "auth.user", "pk": pseudonym(3)},
    }


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("write to ada@example.org now", "write to [email] now"),
        ("call +49 171 123-4567 or 0049171234567", "call [phone] or [phone]"),
        ("order 20260301-12345678", "order 20260301-12345678"),
    ],
)
def test_addresses_and_numbers_within_text_are_taken_out(
    make_event: MakeEvent, given: str, left: str
) -> None:
    """An e-mail address or an international phone number in any text is replaced."""
    assert anonymous(make_event(data={"reason": [given]})) == {"reason": [left]}


TREES = st.recursive(
    st.just(WHO),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*FIELDS, "cart", "plan"]), inner, max_size=3)
    ),
)


@given(tree=TREES)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_name_under_a_personal_field_never_leaves(make_event: MakeEvent, tree: Any) -> None:
    """However deep and mixed a payload is, nothing below a personal field gets out."""
    sent = to_json(anonymous(make_event(data={"email": tree, "cart": {"phone": tree}})))
    assert json.loads(sent) == {"cart": {}}


def test_the_pseudonym_is_stable_and_needs_the_secret(settings: Any) -> None:
    """The same person always gets the same one, as text or number, and another secret another."""
    settings.ANALYTICS_PSEUDONYM_SECRET = "one"
    first = pseudonym(7)
    assert pseudonym("7") == first
    assert first != "7"
    settings.ANALYTICS_PSEUDONYM_SECRET = "two"
    assert pseudonym(7) != first


def test_who_an_event_is_about(make_event: MakeEvent) -> None:
    """The user in the payload comes first, then the actor, then nobody."""
    user = ModelRef("auth.user", 3, WHO)
    assert person(make_event(data={"user": user}, actor_id="1")) == pseudonym(3)
    assert person(make_event(data={"user_id": "4"}, actor_id="1")) == pseudonym(4)
    assert person(make_event(data={}, actor_id="1")) == pseudonym(1)
    assert person(make_event(data={})) == NOBODY
