"""Many people at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from core.exceptions import ConflictError
from examples.tickets import services
from examples.tickets.models import Happening, OrderLine
from examples.tickets.services import Item

Make = Callable[..., Happening]
PEOPLE = 8


def at_once(action: Callable[[int], Any]) -> list[Any]:
    """Run an action in several threads and return what each returned or raised."""

    def run(number: int) -> Any:
        try:
            return action(number)
        except ConflictError as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(PEOPLE) as pool:
        return list(pool.map(run, range(PEOPLE)))


@pytest.mark.django_db(transaction=True)
def test_the_last_tickets_are_sold_once(buyer: Any, happening: Make) -> None:
    """Eight people want two of ten tickets each: five get them, nobody stands outside."""
    night = happening(capacity=10)
    items = [Item(night.pk, 2)]

    def buy(number: int) -> str:
        services.buy(buyer=buyer, token=f"token-{number}", items=items)
        return "SOLD"

    assert Counter(at_once(buy)) == {"SOLD": 5, "SOLD_OUT": 3}
    night.refresh_from_db()
    assert night.sold == 10


@pytest.mark.django_db(transaction=True)
def test_one_token_sent_at_once_is_one_order(buyer: Any, happening: Make) -> None:
    """An impatient client that sends its order eight times at once gets one order."""
    items = [Item(happening().pk, 1)]

    def buy(number: int) -> tuple[Any, bool]:
        order, is_new = services.buy(buyer=buyer, token="token-001", items=items)
        return order.pk, is_new

    answers = at_once(buy)
    assert len({pk for pk, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1
    assert OrderLine.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_baskets_in_opposite_order_do_not_block_each_other(buyer: Any, happening: Make) -> None:
    """Two happenings bought in both orders at once end in no deadlock."""
    pair = [Item(happening(title=title, capacity=100).pk, 1) for title in ("One", "Two")]

    def buy(number: int) -> str:
        items = pair if number % 2 else pair[::-1]
        services.buy(buyer=buyer, token=f"token-{number}", items=items)
        return "SOLD"

    assert at_once(buy) == ["SOLD"] * PEOPLE


@pytest.mark.django_db(transaction=True)
def test_two_cancellations_at_once_are_one(buyer: Any, happening: Make) -> None:
    """Tickets go back on sale once, however often the button is pressed."""
    night = happening(capacity=10)
    services.buy(buyer=buyer, token="other-one", items=[Item(night.pk, 4)])
    order, _ = services.buy(buyer=buyer, token="token-001", items=[Item(night.pk, 2)])
    at_once(lambda number: services.cancel(order=order))
    night.refresh_from_db()
    assert night.sold == 4
