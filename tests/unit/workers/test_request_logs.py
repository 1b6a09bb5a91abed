"""Request logs reach every sink, no row twice, and a sink that fails holds up no other."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery.exceptions import Retry
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from workers.logs import retention, sinks, tasks, writing
from workers.logs.checks import check_sinks
from workers.logs.models import RequestLog, RequestLogLoss
from workers.logs.records import checked, row

pytestmark = pytest.mark.django_db

SOURCE = {"process": "p1", "host": "web-1", "dropped": 0}


def record(**changes: Any) -> dict[str, Any]:
    """Return what the middleware hands over."""
    return {
        "id": str(uuid4()),
        "at": datetime.now(UTC).isoformat(),
        "method": "GET",
        "path": "/api/tickets/5",
        "status": 200,
        "duration_ms": 12.5,
        "user_id": "7",
        "correlation_id": "abc-1",
        "tenant_id": None,
        "route": "api/tickets/<int:pk>",
        "view": "ticket",
        "bytes": 512,
        **changes,
    }


@pytest.fixture
def file(settings: Any, tmp_path: Path) -> Path:
    """The file of the sink."""
    settings.REQUEST_LOG_FILE = str(tmp_path / "log" / "requests.jsonl")
    return Path(settings.REQUEST_LOG_FILE)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Any]]:
    """Makes the table fail; returns the batches that it was given."""

    def break_it() -> list[Any]:
        given: list[Any] = []

        def fails(records: Any) -> None:
            given.append(records)
            raise OperationalError("the database is gone")

        monkeypatch.setitem(sinks.SINKS, "table", fails)
        return given

    return break_it


def write(records: list[dict[str, Any]], retries: int = 0, **arguments: Any) -> Any:
    """Run the task as a worker does; what it wants to repeat is raised as Retry."""
    tasks.write.push_request(retries=retries, called_directly=False, is_eager=False, id="t")
    try:
        return tasks.write.run(records=records, **arguments)
    finally:
        tasks.write.pop_request()


def test_each_sink_gets_every_record(
    settings: Any, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Row, line of JSON, line of the log."""
    caplog.set_level(logging.INFO)
    settings.REQUEST_LOG_SINKS = ["table", "file", "logger"]
    given = [record(), record(path="/b", status=None, user_id=None)]
    assert write(given, source=SOURCE) == 2
    first, second = RequestLog.objects.order_by("at")
    assert (first.path, first.status, first.duration_ms) == ("/api/tickets/5", 200, 12.5)
    assert (first.user_id, first.correlation_id, first.tenant_id) == ("7", "abc-1", "")
    assert first.more == {"view": "ticket", "bytes": 512}
    assert (second.status, second.user_id) == (None, "")
    assert [json.loads(line) for line in file.read_text().splitlines()] == given
    lines = [r.getMessage() for r in caplog.records if r.name == "signalbox.requests"]
    assert lines == ["GET /api/tickets/5: 200", "GET /b: None"]


def test_a_message_that_comes_twice_writes_nothing_twice(settings: Any) -> None:
    """A record is known by its id."""
    settings.REQUEST_LOG_SINKS = ["table"]
    given = [record(), record()]
    write(given, source=SOURCE)
    write([*given, record()], source=SOURCE)
    assert RequestLog.objects.count() == 3


def test_a_sink_that_fails_gets_its_records_again_alone(
    settings: Any, file: Path, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others have theirs at once, and once; the failure is in the log."""
    settings.REQUEST_LOG_SINKS = ["table", "file"]
    broken()
    asked: dict[str, Any] = {}

    def retry(**options: Any) -> Retry:
        asked.update(options)
        return Retry()

    monkeypatch.setattr(tasks.write, "retry", retry)
    with pytest.raises(Retry):
        write([record()], source=SOURCE)
    assert asked["countdown"] == 1
    assert asked["kwargs"]["sinks"] == ["table"]
    with pytest.raises(Retry):
        write(retries=2, **asked["kwargs"])
    assert asked["countdown"] == 25
    assert len(file.read_text().splitlines()) == 1


def test_a_sink_that_fails_to_the_end_is_a_loss_that_is_counted(
    settings: Any, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has to read logs to find out."""
    settings.REQUEST_LOG_SINKS = ["table"]
    given = broken()
    assert write([record(), record()], retries=3, source=SOURCE, sinks=["table"]) == 0
    assert len(given) == 1
    loss = RequestLogLoss.objects.get()
    assert (loss.process, loss.host, loss.unwritten, loss.dropped) == ("p1", "web-1", 2, 0)
    assert "2 request logs were lost for table" in caplog.text


def test_what_processes_dropped_is_kept(settings: Any) -> None:
    """In all, for each process: messages that come twice or late change nothing."""
    settings.REQUEST_LOG_SINKS = ["table"]
    for process, dropped in (("p1", 0), ("p1", 5), ("p2", 3), ("p1", 9), ("p1", 9), ("p1", 5)):
        write([record()], source={**SOURCE, "process": process, "dropped": dropped})
    kept = RequestLogLoss.objects.values_list("process", "dropped").order_by("process")
    assert list(kept) == [("p1", 9), ("p2", 3)]


def test_a_loss_that_cannot_be_kept_loses_no_records(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count is worth less than what is counted."""
    settings.REQUEST_LOG_SINKS = ["table"]

    def fails(**given: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(RequestLogLoss, "objects", type("Broken", (), {"note": fails}))
    assert write([record()], source={**SOURCE, "dropped": 4}) == 1
    assert RequestLog.objects.count() == 1


def test_a_record_that_is_none_keeps_the_others(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever sent it; it is left out, said, and counted as a loss."""
    settings.REQUEST_LOG_SINKS = ["table", "logger"]
    no_times = [record(at=at) for at in (None, "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00")]
    odd = [{}, "text", None, {"id": "x", "at": "y"}, record(id=None), *no_times]
    good = record(path="/a\x00b", view="c\x00d", status=True)
    assert write([*odd, good], source=SOURCE) == 1
    (kept,) = RequestLog.objects.all()
    assert (kept.path, kept.more["view"], kept.status) == ("/ab", "cd", None)
    assert caplog.text.count("left out") == len(odd)
    assert RequestLogLoss.objects.get().unwritten == len(odd)


def test_a_message_of_nothing_else_reaches_no_sink(settings: Any, file: Path) -> None:
    """Nor does one without records."""
    settings.REQUEST_LOG_SINKS = ["file"]
    assert write([{}], source=SOURCE) == write([], source=SOURCE) == 0
    assert not file.exists()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*record(), "other"]), VALUES))
def test_any_record_becomes_a_row_or_is_none(changes: dict[str, Any]) -> None:
    """Nothing that JSON can hold breaks the table's limits."""
    for each in checked([{**record(), **changes}]):
        made = row(each)
        assert len(made["path"]) <= 2000
        assert len(made["user_id"]) <= 128
        assert "\x00" not in made["path"] + str(made["user_id"])
        assert made["status"] is None or 0 <= made["status"] <= 32_767


def test_the_file_is_rotated_and_shared_by_processes(file: Path, settings: Any) -> None:
    """No line is lost or torn, whoever writes."""
    settings.REQUEST_LOG_FILE_BYTES, settings.REQUEST_LOG_FILE_BACKUPS = 5_000, 50
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    files = [path for path in file.parent.glob("requests.jsonl*") if ".lock" not in path.name]
    assert len(files) > 5
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines) == 3 * 20 * 5
    assert max(path.stat().st_size for path in files) <= 7_500


def _write_often() -> None:
    for _ in range(20):
        sinks.write_file([record() for _ in range(5)])


def test_a_file_that_cannot_be_written_is_a_failure(settings: Any, tmp_path: Path) -> None:
    """So that it is tried again and counted, not printed and forgotten."""
    settings.REQUEST_LOG_FILE = str(tmp_path)
    assert writing.write([record()], sinks=["file"]) == ["file"]


def test_old_rows_are_removed_in_batches(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default after REQUEST_LOG_RETENTION_DAYS; 0 keeps them for ever."""
    monkeypatch.setattr(retention, "_BATCH", 2)
    old = (datetime.now(UTC) - timedelta(days=31)).isoformat()
    sinks.write_table([record(at=old) for _ in range(5)] + [record()])
    settings.REQUEST_LOG_RETENTION_DAYS = 0
    assert tasks.prune() == 0
    settings.REQUEST_LOG_RETENTION_DAYS = 30
    assert tasks.prune() == 5
    assert RequestLog.objects.count() == 1


def test_sinks_that_there_are_not_are_reported(settings: Any) -> None:
    """With what may have been meant."""
    for good in (["table", "file", "logger"], ["none"], []):
        settings.REQUEST_LOG_SINKS = good
        assert not check_sinks()
    settings.REQUEST_LOG_SINKS = ["tabel", "none"]
    first, second = check_sinks()
    assert "Did you mean 'table'" in str(first.hint)
    assert "alone" in str(second.hint)


@pytest.mark.parametrize("query", ["", "?q=abc-1", "?q=7"])
def test_the_admin_finds_requests_and_changes_none(client: Client, query: str) -> None:
    """By correlation id or user."""
    client.force_login(get_user_model().objects.create_superuser("root"))
    sinks.write_table([record(), record(correlation_id="other", user_id="8", path="/other")])
    page = client.get(f"/admin/signalbox_logs/requestlog/{query}").content.decode()
    # A long path can be broken, so that it pushes no column out of the page.
    assert "/<wbr>api/<wbr>tickets/<wbr>5<" in page
    assert ("GET /<wbr>other" in page) == (not query)
    assert client.get("/admin/signalbox_logs/requestlog/add/").status_code == 403
    pk = RequestLog.objects.first().pk
    assert client.get(f"/admin/signalbox_logs/requestlog/{pk}/change/").status_code == 200
    assert client.post(f"/admin/signalbox_logs/requestlog/{pk}/delete/").status_code == 403
    assert client.get("/admin/signalbox_logs/requestlogloss/").status_code == 200


@pytest.mark.postgres
@pytest.mark.parametrize("field", ["correlation_id", "user_id"])
def test_the_last_requests_of_somebody_are_found_by_an_index(field: str) -> None:
    """The table has millions of rows."""
    sinks.write_table([record(user_id=str(n), correlation_id=f"c{n}") for n in range(2000)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE signalbox_logs_requestlog")
    plan = RequestLog.objects.filter(**{field: "c5"}).order_by("-at")[:20].explain()
    assert "signalbox_request_" in plan, plan
