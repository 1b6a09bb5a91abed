"""SignalRegistry: the options of a route, and what is refused."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from celery import shared_task
from django.dispatch import Signal

from core.events import (
    Backoff,
    DuplicateRoute,
    Event,
    EventsError,
    EventSignal,
    InvalidRoute,
    SignalRegistry,
    UnknownOption,
    UnknownRoute,
    deliver_pending,
    registry,
)
from core.events.checks import check_routes
from tests.unit.core.events.support import record_route


def handler(event: Event) -> None:
    """Do nothing."""


def other(event: Event) -> None:
    """Do nothing either."""


def test_the_defaults_are_those_of_the_contract() -> None:
    """Each option has the default that the documentation's table gives."""
    registry.route("order.*")(handler)
    (route,) = registry.routes()
    assert route.name == f"{__name__}.handler"
    assert (route.queue, route.batch_size) == ("default", 1)
    assert (route.max_attempts, route.lease) == (25, 60)
    assert not any((route.atomic, route.ordered, route.coalesce, route.at_most_once))
    assert (route.sender, route.when, route.rate, route.concurrency) == (None, None, None, None)
    assert route.replay is True
    assert route.backoff == Backoff(first=1, factor=2, limit=600, jitter="full")


def test_decorating_leaves_the_function_as_it_is() -> None:
    """A handler stays a function that can be called and tested by itself."""
    assert registry.route("order.*")(handler) is handler


def test_a_signal_or_globs_or_several() -> None:
    """A route takes signals and globs in any mixture."""
    signal = EventSignal("order.paid")
    registry.route(signal, "user.*", "fee.changed")(handler)
    for name in ("order.paid", "user.registered", "fee.changed"):
        assert [route.name for route in registry.routes(name)] == [f"{__name__}.handler"]
    assert registry.routes("order.shipped") == []
    assert len(registry.routes(signal)) == 1


def test_routes_lists_all_or_those_of_an_event() -> None:
    """`routes()` is the wiring table, `routes(name)` what an event of that name takes."""
    registry.route("order.*", name="first")(handler)
    registry.route("user.*", name="second")(other)
    assert [route.name for route in registry.routes()] == ["first", "second"]
    assert [route.name for route in registry.routes("user.left")] == ["second"]


def test_unroute_removes_and_returns_a_route() -> None:
    """What is removed takes no more events."""
    registry.route("order.*", name="first")(handler)
    assert registry.routes("order.paid")
    assert registry.unroute("first").name == "first"
    assert registry.routes("order.paid") == []


def test_unroute_of_an_unknown_name_suggests_one() -> None:
    """The error names the value and a name that is close."""
    registry.route("order.*", name="send-receipt")(handler)
    with pytest.raises(UnknownRoute, match=r"'send-reciept'.*'send-receipt'"):
        registry.unroute("send-reciept")


def test_the_same_name_with_another_function_is_refused() -> None:
    """Two functions would share their deliveries."""
    registry.route("order.*", name="receipt")(handler)
    with pytest.raises(DuplicateRoute, match=r"'receipt'.*handler.*other"):
        registry.route("order.*", name="receipt")(other)
    assert registry.routes()[0].handler is handler


def test_the_same_function_again_has_no_double_effect() -> None:
    """A second autodiscovery changes nothing."""
    registry.route("order.*")(handler)
    registry.route("order.*")(handler)
    assert len(registry.routes()) == 1


def test_one_function_may_have_several_routes() -> None:
    """Names tell them apart."""
    registry.route("order.*", name="one")(handler)
    registry.route("order.*", name="two")(handler)
    assert len(registry.routes("order.paid")) == 2


def test_an_unknown_option_is_refused_with_the_nearest_one() -> None:
    """The error names the option, the one that was probably meant, and all there are."""
    with pytest.raises(UnknownOption, match=r"'batchsize'.*'batch_size'.*max_attempts"):
        registry.route("order.*", batchsize=5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("name", 5),
        ("name", "a\x00"),
        ("queue", ""),
        ("queue", None),
        ("batch_size", 0),
        ("batch_size", -1),
        ("batch_size", 1.5),
        ("batch_size", True),
        ("batch_size", "10"),
        ("atomic", "yes"),
        ("atomic", 1),
        ("ordered", None),
        ("coalesce", "no"),
        ("when", "always"),
        ("max_attempts", 0),
        ("max_attempts", -3),
        ("max_attempts", None),
        ("backoff", 5),
        ("backoff", None),
        ("lease", 0),
        ("lease", -60),
        ("lease", "60"),
        ("lease", float("nan")),
        ("lease", float("inf")),
        ("at_most_once", 1),
        ("rate", "-5/s"),
        ("rate", "0/s"),
        ("rate", "5"),
        ("rate", "5/fortnight"),
        ("rate", "1.5/s"),
        ("rate", 5),
        ("rate", ""),
        ("concurrency", 0),
        ("concurrency", -4),
        ("concurrency", 2.0),
        ("concurrency", True),
        ("replay", "no"),
    ],
)
def test_a_bad_value_is_refused_by_route_option_and_value(option: str, value: Any) -> None:
    """Each option says what it takes, and nothing is registered."""
    options = {"name": "receipt", option: value}
    with pytest.raises(InvalidRoute) as caught:
        registry.route("order.*", **options)(handler)
    assert option in str(caught.value)
    assert repr(value) in str(caught.value)
    assert isinstance(caught.value, EventsError)
    assert registry.routes() == []


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [("10/s", 10, 1), ("100/m", 100, 60), ("1000/h", 1000, 3600), ("5/d", 5, 86400)],
)
def test_rates(text: str, count: int, period: float) -> None:
    """A rate is a count per second, minute, hour or day."""
    registry.route("order.*", rate=text)(handler)
    rate = registry.routes()[0].rate
    assert rate is not None
    assert (rate.count, rate.period) == (count, period)


@pytest.mark.parametrize(
    "options",
    [
        {"at_most_once": True, "atomic": True},
        {"at_most_once": True, "batch_size": 2},
        {"coalesce": True},
        {"coalesce": True, "batch_size": 1},
    ],
    ids=str,
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    """The error names the route and both options."""
    with pytest.raises(InvalidRoute, match=r"'receipt'.*(batch_size|atomic)"):
        registry.route("order.*", name="receipt", **options)(handler)
    assert registry.routes() == []


@pytest.mark.parametrize("pattern", [Signal(), 5, None, "", b"order.*"], ids=repr)
def test_a_pattern_is_an_event_signal_or_a_glob(pattern: Any) -> None:
    """A plain Django signal has no name; the error points to `adopt`."""
    with pytest.raises(InvalidRoute, match="adopt"):
        registry.route(pattern)


def test_a_route_needs_a_pattern() -> None:
    """A route that takes nothing cannot be meant."""
    with pytest.raises(InvalidRoute, match="signal or a glob"):
        registry.route()


def test_the_bare_decorator_is_refused() -> None:
    """`@registry.route` without parentheses would take the function for a pattern."""
    with pytest.raises(InvalidRoute, match="handler"):
        registry.route(handler)


def test_a_handler_may_be_named_by_its_path() -> None:
    """A dotted path is imported at once."""
    assert registry.route("order.*")(f"{__name__}.handler") is handler
    assert registry.routes()[0].handler is handler


@pytest.mark.parametrize("path", ["no.such.module.handler", f"{__name__}.missing", "nodots"])
def test_a_handler_that_cannot_be_imported_is_refused(path: str) -> None:
    """The error names the path."""
    with pytest.raises(InvalidRoute, match=path):
        registry.route("order.*")(path)
    assert registry.routes() == []


@pytest.mark.parametrize("path", ["os.path", "os.sep"])
def test_what_a_path_names_is_a_handler(path: str) -> None:
    """A module or a text is refused like one that is given itself."""
    with pytest.raises(InvalidRoute, match="not callable"):
        registry.route("order.*", name="receipt")(path)


@pytest.mark.parametrize("option", ["name", "queue"])
@pytest.mark.parametrize("value", ["a\nb", "a\x00", "a\x1b[0m"])
def test_names_that_cannot_be_printed(option: str, value: str) -> None:
    """They stand in tables, on command lines and in messages."""
    with pytest.raises(InvalidRoute, match="can be printed"):
        registry.route("order.*", **{"name": "receipt", option: value})(handler)


@pytest.mark.parametrize("value", [5, None, {}], ids=repr)
def test_a_handler_is_callable(value: Any) -> None:
    """The error shows what was given instead."""
    with pytest.raises(InvalidRoute, match="not callable"):
        registry.route("order.*", name="receipt")(value)


def test_a_handler_without_a_name_needs_one() -> None:
    """A partial has no path of its own; with a name it is a handler like any other."""
    partial = functools.partial(handler)
    with pytest.raises(InvalidRoute, match="name="):
        registry.route("order.*")(partial)
    registry.route("order.*", name="receipt")(partial)
    assert registry.routes()[0].origin
    check_routes(None)
    with pytest.raises(DuplicateRoute, match="'receipt'"):
        registry.route("order.*", name="receipt")(handler)


@pytest.mark.django_db
def test_a_celery_task_can_be_a_handler() -> None:
    """A task is called in the delivery, with the event, and has its function's name."""
    got: list[Event] = []

    @shared_task(name="tests.receipt")
    def receipt(event: Event) -> None:
        got.append(event)

    @shared_task(name="tests.bound", bind=True)
    def bound(self: Any, event: Event) -> None:
        got.append(event)

    registry.route("order.*")(receipt)
    registry.route("order.*")(bound)
    assert registry.routes()[0].name.endswith("receipt")
    EventSignal("order.paid").send(sender=None, n=1)
    deliver_pending()
    assert [event.data for event in got] == [{"n": 1}] * 2


@pytest.mark.django_db
def test_a_coroutine_can_be_a_handler() -> None:
    """An asynchronous handler runs to its end before it counts as done."""
    got: list[Event] = []

    @registry.route("order.*", name="receipt")
    async def receipt(event: Event) -> None:
        got.append(event)

    EventSignal("order.paid").send(sender=None, n=1)
    assert deliver_pending() == {"receipt": {"done": 1}}
    assert len(got) == 1


@pytest.mark.parametrize(
    "options", [{"first": -1}, {"factor": 0.5}, {"limit": "x"}, {"jitter": "some"}, {"first": True}]
)
def test_a_bad_backoff_is_refused_by_name_and_value(options: dict[str, Any]) -> None:
    """The error names the parameter and the value."""
    ((name, value),) = options.items()
    with pytest.raises(InvalidRoute) as caught:
        Backoff(**options)
    assert f"{name}={value!r}" in str(caught.value)


def test_backoff_grows_to_its_limit() -> None:
    """The pause doubles from the first to the limit, however many failures there were."""
    backoff = Backoff(first=1, factor=2, limit=600, jitter="none")
    assert [backoff.delay(n) for n in (1, 2, 3, 10, 11, 25, 10**9)] == [
        1,
        2,
        4,
        512,
        600,
        600,
        600,
    ]


def test_full_jitter_draws_from_nothing_to_the_pause() -> None:
    """Deliveries that failed together do not come back together."""
    drawn = [Backoff(first=8).delay(1) for _ in range(300)]
    assert min(drawn) >= 0
    assert max(drawn) <= 8
    assert min(drawn) < 2
    assert max(drawn) > 6


def test_the_default_backoff_outlives_an_hour() -> None:
    """The mean pauses before the last of 25 attempts sum up to more than an hour."""
    steps = Backoff(jitter="none")
    assert sum(steps.delay(n) / 2 for n in range(1, 25)) > 3600


def test_a_registry_of_ones_own() -> None:
    """A second registry has a table of its own."""
    mine = SignalRegistry()
    mine.route("order.*")(handler)
    assert registry.routes() == []
    assert len(mine.routes("order.paid")) == 1


def test_recorders_are_handlers() -> None:
    """The tests' own tool works as a route."""
    record_route("order.*")
    assert [route.name for route in registry.routes()] == ["route"]
