"""Refusals of the database that mean that another row is in the way."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from core.duplicates import is_duplicate
from tests.sample.models import Seat, Shelf

pytestmark = pytest.mark.django_db


def test_taken_and_missing_values() -> None:
    """A taken value is a duplicate, one that is missing is not."""
    Seat.objects.create(number=1)
    for make, taken in (
        (lambda: Seat.objects.create(number=1), True),
        (lambda: Seat.objects.create(pk=Seat.objects.get().pk, number=2), True),
        (lambda: Shelf.objects.create(label=None), False),
    ):
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            make()
        assert is_duplicate(refused.value) is taken


@pytest.mark.postgres
@pytest.mark.parametrize(("state", "taken"), [("23505", True), ("23P01", True), ("23514", False)])
def test_states_of_postgresql(state: str, taken: bool) -> None:
    """A row that an exclusion constraint refuses is in conflict with another one as well."""
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"
    with (
        pytest.raises(IntegrityError) as refused,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(raising)
    assert is_duplicate(refused.value) is taken
