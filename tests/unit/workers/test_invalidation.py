"""Rules say which entries go stale; each goes once, and a dead cache holds nobody up."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache

from core.events import ModelRef
from workers.cache.invalidation import AtCommit, Rule, Rules, Stale


@dataclass
class Order:
    """As a model instance would be."""

    pk: int


def gathered(rules: Rules, name: str, sender: str = "", **data: Any) -> Stale:
    stale = Stale()
    rules.gather(stale, name=name, sender=sender, data=data)
    return stale


@pytest.mark.parametrize("order", [Order(7), ModelRef("shop.order", 7)])
def test_keys_are_filled_from_the_payload(order: Any) -> None:
    """A key may use fields, and attributes that an instance and its reference share."""
    rules = Rules()
    rules.add("order.*", Rule(keys=["order:{order.pk}:{lang}"], patterns=["orders:{lang}:*"]))
    stale = gathered(rules, "order.paid", order=order, lang="de")
    assert (stale.keys, stale.patterns) == ({"order:7:de"}, {"orders:de:*"})


def test_every_row_of_a_bulk_change_has_its_keys() -> None:
    """In an event about many rows `{pk}` stands for each of them."""
    rules = Rules()
    rules.add("model.updated", Rule(keys=["{model}:{pk}"]))
    stale = gathered(rules, "model.updated", model="shop.order", pks=["1", "2"])
    assert stale.keys == {"shop.order:1", "shop.order:2"}


def test_a_rule_may_be_about_one_model() -> None:
    """With a sender, a rule leaves the events of other models alone."""
    rules = Rules()
    rules.add("model.updated", Rule(keys=["user:{pk}"], sender=User))
    assert gathered(rules, "model.updated", User._meta.label_lower, pk="1").keys == {"user:1"}
    assert gathered(rules, "model.updated", Group._meta.label_lower, pk="1").keys == set()


def test_keys_may_be_computed() -> None:
    """A function gets the payload and returns the keys."""
    rules = Rules()
    rules.add("order.paid", Rule(keys=lambda data: [f"buyer:{each}" for each in data["buyers"]]))
    assert gathered(rules, "order.paid", buyers=[1, 2]).keys == {"buyer:1", "buyer:2"}


def test_each_entry_goes_once() -> None:
    """What several events make stale is removed once, and calls are made once."""
    calls: list[None] = []

    def call() -> None:
        calls.append(None)

    rules = Rules()
    rules.add("order.paid", Rule(keys=["a", "a", "b"], calls=(call,)))
    stale = Stale()
    for _ in range(2):
        rules.gather(stale, name="order.paid", sender="", data={})
    cache.set_many({"a": 1, "b": 1, "c": 1})
    stale.remove()
    assert list(cache.get_many(["a", "b", "c"])) == ["c"]
    assert len(calls) == 1
    cache.clear()


def test_a_dead_cache_is_left_alone_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """At commit a failing cache is tried once and then not for some seconds, and nobody raises."""
    tried: list[None] = []

    def fail() -> None:
        tried.append(None)
        raise ConnectionError

    at_commit = AtCommit()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            at_commit.remove(Stale(calls={fail}))
    assert len(tried) == 1
    assert "not invalidated at commit: ConnectionError" in caplog.text
