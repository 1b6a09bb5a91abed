"""The same function routed again: a module that is loaded anew, or two decorators on it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
from celery import shared_task

from core.events import DuplicateRoute, Event, registry
from workers.growing_route import GrowingRoute

ROUTES = """
from core.events import registry

@registry.route("order.paid", batch_size=5, when=lambda event: True)
def bill(events): ...
"""
TWICE = """
from core.events import registry

@registry.route("order.paid")
def bill(event): ...

@registry.route("order.paid")
def bill(event): ...
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A routes module of an app, imported."""
    (tmp_path / "made_up_routes.py").write_text(ROUTES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "made_up_routes", raising=False)
    return importlib.import_module("made_up_routes")


def handler(event: Event) -> None:
    """A handler of these tests."""


@shared_task(name="tests.route_again")
def task(event: Event) -> None:
    """A task of these tests."""


@pytest.mark.parametrize("target", [handler, task], ids=["function", "task"])
def test_two_routes_of_one_function_need_names(target: object) -> None:
    """Without them the second would silently replace the first."""
    registry.route("order.paid")(target)
    with pytest.raises(DuplicateRoute, match=r"other signals or options.*name=\.\.\..*unroute"):
        registry.route("order.refunded")(target)
    with pytest.raises(DuplicateRoute, match=r"name=\.\.\."):
        registry.route("order.paid", batch_size=5)(target)
    assert [route.patterns for route in registry.routes()] == [("order.paid",)]


def test_after_unroute_the_function_may_be_routed_otherwise() -> None:
    """Who means to replace a line says so."""
    registry.route("order.paid", name="bill")(handler)
    registry.unroute("bill")
    registry.route("order.*", name="bill")(handler)
    assert [route.patterns for route in registry.routes()] == [("order.*",)]


def test_a_module_may_be_loaded_anew(module: ModuleType) -> None:
    """Its functions are other objects then; the new ones take over."""
    former = module.bill
    importlib.reload(module)
    (route,) = registry.routes()
    assert route.handler is module.bill
    assert route.handler is not former


def test_two_functions_of_one_name_are_refused(tmp_path: Path, module: ModuleType) -> None:
    """The second of them hides the first in the module; it must not do so in the registry."""
    registry.unroute("made_up_routes.bill")
    (tmp_path / "made_up_routes.py").write_text(TWICE)
    with pytest.raises(DuplicateRoute, match=r"made_up_routes\.bill"):
        importlib.reload(module)


def test_nested_functions_of_one_name_are_two() -> None:
    """Each may hold other values, though they are written in the same place."""

    def make() -> object:
        def nested(event: Event) -> None: ...

        return nested

    registry.route("order.paid", name="nested")(make())
    with pytest.raises(DuplicateRoute, match="'nested'"):
        registry.route("order.paid", name="nested")(make())


def test_a_growing_route_replaces_its_line() -> None:
    """Each event that is added widens the one route."""
    growing = GrowingRoute(handler, name="growing")
    growing.add("order.paid")
    growing.add("order.refunded", "order.paid")
    assert [route.patterns for route in registry.routes()] == [("order.paid", "order.refunded")]


def test_a_growing_route_does_not_replace_anothers() -> None:
    """A name that somebody else took is refused."""
    registry.route("order.paid", name="growing")(lambda event: None)
    with pytest.raises(DuplicateRoute, match="'growing'"):
        GrowingRoute(handler, name="growing").add("order.paid")
