"""Failures are logged once, repeated where that helps, and calls end in time; also all at once."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextvars import ContextVar
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django.http import Http404, JsonResponse
from django.test import RequestFactory
from django.utils.decorators import method_decorator
from django.views import View

from core.decorators import (
    cache_response,
    log_request,
    rate_limit,
    retry_on_failure,
    standard_exception_handler,
    timeout,
)
from core.error_responses import error_response
from core.exceptions import DatabaseError, NotFoundError, RateLimitError, ServiceTimeoutError


class Flaky:
    """A function that raises what it is given, one after another, and then returns."""

    def __init__(self, *failures: Any) -> None:
        self.failures = list(failures)
        self.calls = 0

    def call(self) -> str:
        self.calls += 1
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        return "result"


class Waits(list[float]):
    """A sleep that only remembers for how long."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)

    async def asleep(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def errors(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.ERROR, logger="core.error_responses")
    return caplog


def test_an_exception_is_logged_and_raised(errors: pytest.LogCaptureFixture) -> None:
    """The record has the traceback; the exception is the same as without the decorator."""
    failure = ValueError("broken")

    @standard_exception_handler
    def work() -> None:
        """Do it."""
        raise failure

    with pytest.raises(ValueError, match="broken") as caught:
        work()
    assert caught.value is failure
    (record,) = errors.records
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert record.exc_info[1] is failure
    assert "work: ValueError" in record.getMessage()
    assert (work.__name__, work.__doc__) == ("work", "Do it.")


def test_an_exception_is_logged_once(errors: pytest.LogCaptureFixture) -> None:
    """However many decorated functions it passes, sync and async, and whoever answers for it."""

    @standard_exception_handler
    def inner() -> None:
        raise KeyError("x")

    @standard_exception_handler
    async def outer() -> None:
        inner()

    with pytest.raises(KeyError) as caught:
        asyncio.run(outer())
    assert error_response(caught.value).status == 500
    assert len(errors.records) == 1
    assert "inner: KeyError" in errors.messages[0]


def test_results_pass_and_cancellation_is_no_error(errors: pytest.LogCaptureFixture) -> None:
    """A result is returned as it is; a cancelled task is not an error."""

    @standard_exception_handler
    async def forever() -> None:
        await asyncio.Event().wait()

    async def cancel() -> None:
        task = asyncio.ensure_future(forever())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert standard_exception_handler(lambda number: number + 1)(1) == 2
    assert not errors.records


def test_repeats_follow_the_first_call() -> None:
    """Three repeats make four calls at most, with waits of 1, 2 and 4 seconds."""
    flaky, waits = Flaky(*[OSError("down")] * 9), Waits()
    repeated = retry_on_failure(max_retries=3, backoff_factor=2.0, sleep=waits)(flaky.call)
    with pytest.raises(OSError, match="down"):
        repeated()
    assert (flaky.calls, waits) == (4, [1, 2, 4])


def test_a_success_ends_the_repeats(caplog: pytest.LogCaptureFixture) -> None:
    """The result of the first call that does not fail is returned; each failure is a warning."""
    flaky, waits = Flaky(OSError("down"), ValueError("odd")), Waits()
    assert retry_on_failure(base_delay=0.5, backoff_factor=3, sleep=waits)(flaky.call)() == "result"
    assert (flaky.calls, waits) == (3, [0.5, 1.5])
    assert "failed in call 1 of 4, again in 0.5 s: OSError('down')" in caplog.text


def test_no_repeats() -> None:
    """With 0 the first failure is final."""
    flaky = Flaky(OSError("down"))
    with pytest.raises(OSError, match="down"):
        retry_on_failure(max_retries=0)(flaky.call)()
    assert flaky.calls == 1


def test_waits_have_a_limit() -> None:
    """A wait is never longer than `max_delay`, however large the numbers grow."""
    flaky, waits = Flaky(*[OSError()] * 500), Waits()
    repeated = retry_on_failure(500, 1e9, max_delay=7, sleep=waits)(flaky.call)
    assert repeated() == "result"
    assert waits == [1, *[7] * 499]


@pytest.mark.parametrize(
    "failure",
    [
        TypeError(),
        AttributeError(),
        NameError(),
        NotImplementedError(),
        AssertionError(),
        ImportError(),
        ZeroDivisionError(),
        ObjectDoesNotExist(),
        Http404(),
        DjangoValidationError("no"),
        NotFoundError(),
        RateLimitError(),
        KeyboardInterrupt(),
    ],
)
def test_what_is_not_repeated(failure: BaseException) -> None:
    """Mistakes in the code and answers would be the same the next time."""
    flaky = Flaky(failure)
    with pytest.raises(type(failure)):
        retry_on_failure(sleep=Waits())(flaky.call)()
    assert flaky.calls == 1


@pytest.mark.parametrize(
    "failure", [TimeoutError(), KeyError(), RuntimeError(), DatabaseError(), ServiceTimeoutError()]
)
def test_what_is_repeated(failure: Exception) -> None:
    """Everything else may pass."""
    assert retry_on_failure(sleep=Waits())(Flaky(failure).call)() == "result"


def test_parameters_keep_their_names() -> None:
    """A function may call its parameters as the library of the repeats calls its own."""

    @retry_on_failure()
    def sync(fn: int, self: int) -> int:
        return fn + self

    @retry_on_failure()
    async def coroutine(fn: int, self: int) -> int:
        return fn + self

    assert sync(fn=1, self=2) == asyncio.run(coroutine(fn=1, self=2)) == 3


def test_a_sleep_fits_its_function() -> None:
    """Async repeats wait by either kind of sleep; sync ones cannot wait for an async one."""
    waits = Waits()
    flaky = Flaky(OSError(), OSError())

    @retry_on_failure(sleep=waits)
    async def work() -> str:
        return flaky.call()

    assert asyncio.run(work()) == "result"
    assert waits == [1, 2]
    with pytest.raises(TypeError, match="nobody would wait"):
        retry_on_failure(sleep=waits.asleep)(flaky.call)
    with pytest.raises(TypeError, match="sleep must be a function"):
        retry_on_failure(sleep=1)  # type: ignore[arg-type]  # a mistake on purpose


def test_exceptions_can_be_chosen() -> None:
    """`exceptions` are repeated for, whatever they are, and no others."""
    chosen = retry_on_failure(exceptions=(TypeError, KeyError), sleep=Waits())
    assert chosen(Flaky(TypeError(), KeyError()).call)() == "result"
    with pytest.raises(OSError, match="down"):
        chosen(Flaky(OSError("down")).call)()


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": "3"},
        {"max_retries": 1.5},
        {"max_retries": True},
        {"max_retries": None},
        {"backoff_factor": "2"},
        {"base_delay": None},
        {"exceptions": "OSError"},
        {"exceptions": (OSError, KeyboardInterrupt)},
        {"max_retries": lambda: None},
    ],
)
def test_options_of_another_type(options: dict[str, Any]) -> None:
    """Options of another type fail where they are written."""
    with pytest.raises(TypeError):
        retry_on_failure(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"backoff_factor": -1.0},
        {"backoff_factor": float("nan")},
        {"base_delay": float("inf")},
        {"max_delay": -1},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    """Options that make no wait fail where they are written."""
    with pytest.raises(ValueError, match="must be from 0 to"):
        retry_on_failure(**options)


def test_an_async_function_ends_in_time() -> None:
    """It is cancelled, and TimeoutError says which and after how long."""
    cancelled = []

    @timeout(seconds=0.01)
    async def hanging() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(TimeoutError, match=r"hanging took longer than 0\.01 s"):
        asyncio.run(hanging())
    assert cancelled


def test_a_time_out_of_its_own_goes_through() -> None:
    """A TimeoutError that the function raises itself is left as it is."""
    own = TimeoutError("of the socket")

    @timeout(seconds=5)
    def work() -> None:
        raise own

    @timeout(seconds=5)
    async def awork() -> None:
        raise own

    with pytest.raises(TimeoutError, match="of the socket"):
        work()
    with pytest.raises(TimeoutError, match="of the socket"):
        asyncio.run(awork())


def test_a_function_ends_in_time(caplog: pytest.LogCaptureFixture) -> None:
    """The caller goes on; what comes of the call later is logged, not lost."""
    release, threads = threading.Event(), []

    @timeout(seconds=0.01)
    def hanging(result: Any) -> None:
        threads.append(threading.current_thread())
        release.wait(10)
        if result:
            raise result

    for result in (None, ValueError("late")):
        with pytest.raises(TimeoutError, match=r"hanging took longer than 0\.01 s"):
            hanging(result)
    release.set()
    for thread in threads:
        thread.join(10)
    assert sorted(message.rpartition(".")[2] for message in caplog.messages) == [
        "hanging failed after its time-out",
        "hanging returned after its time-out",
    ]


def test_results_errors_and_context_pass_the_thread() -> None:
    """Within its time a function works as without the decorator, context variables included."""
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("from the caller")

    @timeout(seconds=5)
    def work(number: int, *, fail: bool = False) -> str:
        """Do it."""
        if fail:
            raise KeyError(number)
        return f"{number} {variable.get()}"

    assert work(1) == "1 from the caller"
    with pytest.raises(KeyError):
        work(1, fail=True)
    assert (work.__name__, work.__doc__) == ("work", "Do it.")


@timeout(seconds=5)
def database_answer() -> int:
    """Ask the database something."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_the_database_within_a_time_limit() -> None:
    """The thread has a connection of its own; within a transaction of the caller it is refused."""
    assert database_answer() == 1
    with (
        transaction.atomic(),
        pytest.raises(TransactionManagementError, match="around the transaction"),
    ):
        database_answer()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_time_must_be_positive(seconds: float) -> None:
    """A time that is none fails where it is written."""
    with pytest.raises(ValueError, match="seconds must be"):
        timeout(seconds)


@pytest.mark.parametrize("seconds", [None, "30", True, lambda: None])
def test_a_time_must_be_a_number(seconds: Any) -> None:
    """A time of another type, or no parentheses, fails where it is written."""
    with pytest.raises(TypeError):
        timeout(seconds)


class Hanging:
    """An object whose call is async, and lasts."""

    async def __call__(self) -> None:
        await asyncio.Event().wait()


def test_objects_with_an_async_call() -> None:
    """They are async functions as well: a limit around one holds."""
    with pytest.raises(TimeoutError):
        asyncio.run(timeout(0.01)(Hanging())())


@pytest.mark.parametrize(
    "decorator",
    [
        standard_exception_handler,
        retry_on_failure(),
        timeout(),
        cache_response(),
        log_request(),
        rate_limit(max_calls=9, time_window=9),
    ],
)
def test_async_views_are_decorated_where_they_are_async(decorator: Any, rf: RequestFactory) -> None:
    """Around `dispatch`, which only returns the coroutine, all of it would do nothing: refused."""

    class Shown(View):
        async def get(self, request: Any) -> JsonResponse:
            return JsonResponse({})

    on_get = method_decorator(decorator, name="get")(type("OnGet", (Shown,), {"get": Shown.get}))
    assert asyncio.run(on_get.as_view()(rf.get("/"))).status_code == 200
    on_dispatch = method_decorator(decorator, name="dispatch")(type("On", (Shown,), {}))
    with pytest.raises(TypeError, match="decorate the async function itself"):
        on_dispatch.as_view()(rf.get("/"))


@pytest.mark.parametrize("value", [10**400, 10**10])
def test_options_beyond_any_clock(value: int) -> None:
    """A number that no clock or cache could count is refused where it is written."""
    for make in (
        lambda: timeout(value),
        lambda: retry_on_failure(max_delay=value),
        lambda: rate_limit(key="docs", limit=1, period=value),
        lambda: rate_limit(max_calls=value, time_window=1),
        lambda: cache_response(timeout=value),
    ):
        with pytest.raises(ValueError, match="must be from"):
            make()


def test_generators_are_refused() -> None:
    """The body of a generator runs after the call, where no decorator would see it."""

    def generator() -> Any:
        yield 1

    for decorator in (standard_exception_handler, retry_on_failure(), timeout()):
        with pytest.raises(TypeError, match="generator"):
            decorator(generator)


class Gateway:
    """Three decorators on an async method."""

    def __init__(self, *failures: Any, hangs: bool = False) -> None:
        self.flaky = Flaky(*failures)
        self.hangs = hangs

    @standard_exception_handler
    @retry_on_failure(max_retries=3, backoff_factor=2.0)
    @timeout(seconds=30)
    async def fetch(self) -> str:
        """Fetch it."""
        if self.hangs:
            self.flaky.calls += 1
            await asyncio.Event().wait()
        return self.flaky.call()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """The waits between repeats, which take no time."""
    waits = Waits()
    monkeypatch.setattr(asyncio, "sleep", waits.asleep)
    return waits


def test_the_stack_succeeds_in_the_end(waits: Waits, errors: pytest.LogCaptureFixture) -> None:
    """Two failures and a success are a success, and no error in the log."""
    gateway = Gateway(OSError("down"), OSError("down"))
    assert asyncio.run(gateway.fetch()) == "result"
    assert (gateway.flaky.calls, waits) == (3, [1, 2])
    assert not [record for record in errors.records if record.levelno >= logging.ERROR]
    assert asyncio.iscoroutinefunction(Gateway.fetch)
    assert (Gateway.fetch.__name__, Gateway.fetch.__doc__) == ("fetch", "Fetch it.")


def test_the_stack_fails_in_the_end(waits: Waits, errors: pytest.LogCaptureFixture) -> None:
    """The last exception is logged once and raised."""
    gateway = Gateway(*[OSError("down")] * 9)
    with pytest.raises(OSError, match="down"):
        asyncio.run(gateway.fetch())
    assert (gateway.flaky.calls, waits) == (4, [1, 2, 4])
    logged = [record for record in errors.records if record.levelno >= logging.ERROR]
    assert [record.exc_info is not None for record in logged] == [True]


def test_the_stack_does_not_hang(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that hangs is cancelled, repeated, and ends as a time-out."""
    monkeypatch.setattr(asyncio, "timeout", lambda seconds, limit=asyncio.timeout: limit(0.001))
    gateway = Gateway(hangs=True)
    with pytest.raises(TimeoutError, match="fetch took longer than 30 s"):
        asyncio.run(gateway.fetch())
    assert (gateway.flaky.calls, waits) == (4, [1, 2, 4])


def test_the_sleep_of_async_repeats_can_be_given() -> None:
    """`sleep` may be a coroutine function."""
    waits, flaky = Waits(), Flaky(OSError())

    @retry_on_failure(sleep=waits.asleep)
    async def call() -> str:
        return flaky.call()

    assert asyncio.run(call()) == "result"
    assert waits == [1]
