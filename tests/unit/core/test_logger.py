"""Loggers with fields, and the records about requests, queries and calls to others."""

from __future__ import annotations

import inspect
import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from core.context import event_context
from core.logs import bound_fields, parse_line
from core.logs.formatter import LineFormatter
from core.services import BaseService
from core.utils import logger as module
from core.utils.logger import (
    StructuredLogger,
    get_logger,
    log_api_request,
    log_database_query,
    log_external_service_call,
)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """What has been written so far, read back."""
    caplog.set_level(logging.DEBUG)
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter(service="web"))
    logging.getLogger().addHandler(handler)
    yield lambda: [parse_line(line) for line in written.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


def test_get_logger_is_a_standard_logger() -> None:
    """It has the name that it was asked for, and no handlers or level of its own."""
    log = get_logger("shop.orders")
    assert log is logging.getLogger("shop.orders")
    assert (log.handlers, log.level, log.propagate) == ([], logging.NOTSET, True)


def test_services_log_by_their_class() -> None:
    """The logger of a service is a standard one, called like the class."""

    class OrderService(BaseService):
        """A service."""

    assert OrderService.get_logger() is get_logger("OrderService")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_a_structured_logger(lines: Any, level: str) -> None:
    """Bound fields, those of the call, those of the block, and the correlation id."""
    log = StructuredLogger("shop", service_area="north").bind(request_id="r-1")
    with event_context(correlation_id="c-1"), bound_fields(route="shop.receipt"):
        getattr(log, level)("paid %d", 3, order=7, name="x", msg="y", level="z")
    (line,) = lines()
    assert (line["level"], line["message"]) == (level.upper(), "paid 3")
    assert line["correlation_id"] == "c-1"
    assert {key: line[key] for key in ("route", "service_area", "request_id", "order")} == {
        "route": "shop.receipt",
        "service_area": "north",
        "request_id": "r-1",
        "order": 7,
    }
    assert (line["name"], line["msg"], line["level_"]) == ("x", "y", "z")


def test_a_structured_logger_with_an_exception(
    lines: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`exception` adds the traceback; the record points to who called."""
    try:
        raise ValueError("no")
    except ValueError:
        StructuredLogger("shop").exception("failed", order=7)
    (line,) = lines()
    assert (line["level"], line["order"]) == ("ERROR", 7)
    assert line["exception"].endswith("ValueError: no")
    (record,) = caplog.records
    assert record.pathname == inspect.getfile(test_a_structured_logger_with_an_exception)


def test_levels_are_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    """At WARNING neither DEBUG nor INFO is there."""
    caplog.set_level(logging.WARNING, "shop")
    log = StructuredLogger("shop")
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert caplog.messages == ["c"]


def test_a_request_without_a_place_for_request_logs(lines: Any, settings: Any) -> None:
    """It is a line of its own, with what was given; secrets are redacted."""
    settings.REQUEST_LOG_SINKS = ()
    log_api_request(
        method="GET", path="/x/", status=200, duration=0.0123, user_id="7", token="t", view="v"
    )
    (line,) = lines()
    assert (line["logger"], line["message"]) == ("signalbox.requests", "GET /x/: 200")
    assert (line["duration_ms"], line["user_id"]) == (12.3, "7")
    assert (line["token"], line["view"]) == ("[redacted]", "v")


def test_a_request_that_is_handed_over(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record has its facts and the context; nothing is written here."""
    taken: list[dict[str, Any]] = []

    def take(record: dict[str, Any]) -> bool:
        taken.append(record)
        return True

    monkeypatch.setattr(module, "hand_over", take)
    with event_context(correlation_id="c-1", tenant="t-1"):
        log_api_request(method="GET", path="/x/", status=200, duration=1, extra={"password": "p"})
    (first,) = taken
    assert (first["correlation_id"], first["tenant_id"]) == ("c-1", "t-1")
    assert (first["duration_ms"], first["user_id"]) == (1000, None)
    assert first["extra"] == {"password": "[redacted]"}
    assert not lines()


def test_a_query(lines: Any) -> None:
    """A quick one is for debugging, a slow one is a warning."""
    log_database_query(sql="SELECT 1", duration=0.002, rows=3)
    log_database_query(sql="SELECT 1", duration=2, database="other", slow=True)
    quick, slow = lines()
    assert (quick["level"], quick["duration_ms"], quick["rows"]) == ("DEBUG", 2.0, 3)
    assert (slow["level"], slow["database"], slow["sql"]) == ("WARNING", "other", "SELECT 1")


def test_a_call_to_another_service(lines: Any) -> None:
    """INFO if it went well, WARNING if not, with the facts as fields."""
    facts: dict[str, Any] = {"service": "rates", "method": "GET", "path": "/", "attempts": 2}
    log_external_service_call(**facts, status=200, duration=0.5, outcome="ok")
    log_external_service_call(**facts, status=None, duration=5, outcome="timeout")
    good, bad = lines()
    assert (good["level"], good["target"], good["status"]) == ("INFO", "rates", 200)
    assert (bad["level"], bad["status"], bad["outcome"]) == ("WARNING", None, "timeout")
    assert (bad["duration_ms"], bad["attempts"]) == (5000.0, 2)
