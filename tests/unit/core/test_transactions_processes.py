"""Transactions of event loops in real processes at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from core.events.models import EventRecord
from core.repositories import AsyncRepository
from core.transactions import TransactionManager
from tests.sample.models import Account
from tests.unit.core.events.support import join, processes

APPS = ["core", "core.events", "django.contrib.contenttypes", "tests.sample"]
AMOUNTS = range(1, 7)

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True, available_apps=APPS),
]


class Failure(Exception):
    """What goes wrong in the middle of a transfer."""


async def transfer(source: Any, target: Any, amount: int, *, fail: bool) -> None:
    async with TransactionManager() as tx:
        accounts = AsyncRepository(Account, session=tx.session)
        rows = accounts.query().filter(pk__in=[source, target]).order_by("pk")
        balances = {row.pk: row.balance async for row in rows.select_for_update()}
        await accounts.update(source, {"balance": balances[source] - amount})
        if fail:
            raise Failure
        await accounts.update(target, {"balance": balances[target] + amount})


def test_transfers_by_several_processes() -> None:
    """Each transfer of each process is done whole, with its events, or not at all."""
    a, b = (Account.objects.create(name=name, balance=1000).pk for name in "ab")
    EventRecord.objects.all().delete()

    def run(index: int) -> None:
        async def work() -> list[Any]:
            jobs = [transfer(a, b, amount, fail=amount % 2 == 0) for amount in AMOUNTS]
            return await asyncio.gather(*jobs, return_exceptions=True)

        failures = [outcome for outcome in async_to_sync(work)() if outcome is not None]
        assert [type(failure) for failure in failures] == [Failure] * 3

    with processes(3, run) as started:
        join(started)
    moved = 3 * sum(amount for amount in AMOUNTS if amount % 2)
    balances = dict(Account.objects.values_list("name", "balance"))
    assert balances == {"a": 1000 - moved, "b": 1000 + moved}
    assert EventRecord.objects.filter(name="model.updated").count() == 3 * 3 * 2
