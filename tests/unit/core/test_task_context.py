"""The context of who sends a task is that of its run, and gone afterwards."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.app.trace import build_tracer

from core import task_context
from core.context import (
    Context,
    bound_fields,
    current_context,
    current_fields,
    event_context,
    set_context,
    using_context,
)

app = Celery("tests", broker="memory://", set_as_current=False)
seen: list[tuple[Context, dict[str, Any]]] = []


@app.task(name="tests.look")
def look(fail: bool = False, leak: bool = False) -> None:
    """Note the context of this run."""
    seen.append((current_context(), dict(current_fields())))
    if leak:
        set_context(Context(actor_id="leaked"))
    if fail:
        raise ValueError("no")


@pytest.fixture(autouse=True)
def _connected() -> None:
    task_context.connect()
    seen.clear()


def headers_of(name: str = "tests.look") -> dict[str, Any]:
    """Return the headers of the message that sending a task now would make."""
    headers: dict[str, Any] = {}
    task_context._attach(sender=name, headers=headers)
    return headers


def run(headers: dict[str, Any], **kwargs: Any) -> None:
    """Run the task as a worker does."""
    request = {"id": "id-1", "delivery_info": {}, "is_eager": False, **headers}
    build_tracer(look.name, look, app=app)("id-1", [], kwargs, request)


def test_the_context_goes_along() -> None:
    """Correlation id, actor, tenant and cause, through a real broker's message."""
    cause = uuid4()
    with using_context(Context("ada", "t-1", "c-1", cause)), app.connection() as connection:
        look.apply_async(connection=connection)
        with connection.SimpleQueue("celery") as queue:
            message = queue.get(timeout=5)
            message.ack()
    run(message.headers)
    ((context, fields),) = seen
    assert context == Context("ada", "t-1", "c-1", cause)
    assert fields == {"task": "tests.look", "task_id": "id-1"}


@pytest.mark.parametrize("kwargs", [{}, {"fail": True}, {"leak": True}])
def test_it_is_gone_afterwards(kwargs: dict[str, Any]) -> None:
    """Whether the task succeeds, fails, or sets a context itself."""
    with event_context(correlation_id="c-1"):
        headers = headers_of()
    run(headers, **kwargs)
    assert (current_context(), dict(current_fields())) == (Context(), {})
    run({})
    assert seen[-1][0] == Context()


def test_an_eager_task_runs_in_the_context_of_its_caller() -> None:
    """And leaves it as it was."""
    with event_context(correlation_id="c-1"), bound_fields(route="r"):
        look.apply()
        assert current_context().correlation_id == "c-1"
        assert current_fields() == {"route": "r"}
    ((context, fields),) = seen
    assert context.correlation_id == "c-1"
    assert fields["route"] == "r"
    assert fields["task"] == "tests.look"


def test_wake_ups_and_empty_contexts_carry_nothing() -> None:
    """A message is not longer than it has to be."""
    assert headers_of() == {}
    with event_context(correlation_id="c-1"):
        assert headers_of("events.deliver") == {}
        assert list(headers_of()) == [task_context.HEADER]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "text",
        [],
        {"correlation_id": 5, "causation_id": "no", "actor_id": "x" * 200},
        {"tenant_id": "", "correlation_id": "a\x00b", "causation_id": 7},
    ],
)
def test_what_is_not_well_formed_is_left_out(header: Any) -> None:
    """A message of somebody else's does not keep a task from running."""
    run({task_context.HEADER: header})
    assert seen[-1][0] == Context()


def test_threads_do_not_meet() -> None:
    """Tasks that run at the same time in one process have a context each."""
    barrier = threading.Barrier(2)
    found: dict[str, list[str | None]] = {}

    def work(name: str) -> None:
        with event_context(correlation_id=name):
            headers = headers_of()
        barrier.wait(10)
        task = look
        request = {"id": name, "delivery_info": {}, **headers}
        build_tracer(task.name, task, app=app)(name, [], {}, request)
        found[name] = [current_context().correlation_id]

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == {"a": [None], "b": [None]}
    assert {context.correlation_id for context, _ in seen} == {"a", "b"}
    assert all(fields["task_id"] == context.correlation_id for context, fields in seen)
