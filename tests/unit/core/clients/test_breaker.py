"""What keeps failing is left alone, and tried again carefully."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from core.clients import CircuitState, circuit_changed, circuits, external_call_finished
from core.clients import breaker as breaker_module
from core.clients.breaker import FAILURES
from core.exceptions import CircuitOpenError, ExternalServiceError, ServiceTimeoutError
from tests.unit.core.clients.fault_server import FaultServer


@pytest.fixture
def changes() -> Iterator[list[tuple[CircuitState, CircuitState]]]:
    """What is announced."""
    told: list[tuple[CircuitState, CircuitState]] = []

    def hear(old: CircuitState, new: CircuitState, **kwargs: Any) -> None:
        told.append((old, new))

    circuit_changed.connect(hear)
    yield told
    circuit_changed.disconnect(hear)


def fail(client: Any, server: FaultServer, times: int, path: str = "status/503") -> None:
    for _ in range(times):
        with pytest.raises(ExternalServiceError):
            client.get(server.url, path, attempts=1)


def test_failures_in_a_row_open_it(client: Any, server: FaultServer, changes: Any) -> None:
    """Then a call fails at once, with an error of its own, without a request."""
    fail(client, server, FAILURES)
    with pytest.raises(CircuitOpenError) as raised:
        client.get(server.url, "fine")
    assert len(server.requests) == FAILURES
    assert (raised.value.status_code, raised.value.code) == (503, "CIRCUIT_OPEN")
    assert raised.value.details["retry_after"] >= 1
    assert circuits.states() == {server.url: CircuitState.OPEN}
    assert changes == [(CircuitState.CLOSED, CircuitState.OPEN)]


def test_its_changes_are_logged(
    client: Any, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning when it opens, and none for the calls that it refuses then."""
    fail(client, server, FAILURES + 2)
    lines = [r for r in caplog.records if r.name == "core.clients.breaker"]
    assert [(r.levelname, r.getMessage()) for r in lines] == [
        ("WARNING", f"the circuit of {server.url} is open, it was closed")
    ]


def test_it_is_shared_by_the_process(client_of: Any, server: FaultServer) -> None:
    """What one client has learned, another one knows."""
    fail(client_of(), server, FAILURES)
    with pytest.raises(CircuitOpenError):
        client_of().get(server.url)


def test_another_origin_is_not_concerned(
    client: Any, server: FaultServer, elsewhere: FaultServer
) -> None:
    """Each host and port has a circuit of its own."""
    fail(client, server, FAILURES)
    assert client.get(elsewhere.url).status_code == 200


def test_a_client_may_do_without(client_of: Any, server: FaultServer) -> None:
    """It neither learns nor heeds."""
    client = client_of(circuit_breaker=False)
    fail(client, server, FAILURES + 1)
    assert client.get(server.url).status_code == 200


def test_refusals_do_not_open_it(client: Any, server: FaultServer) -> None:
    """A service that says no is well."""
    fail(client, server, FAILURES + 1, "status/404")
    assert client.get(server.url).status_code == 200


def test_a_success_in_between_closes_the_count(client: Any, server: FaultServer) -> None:
    """Only failures in a row count."""
    fail(client, server, FAILURES - 1)
    client.get(server.url)
    fail(client, server, FAILURES - 1)
    assert client.get(server.url).status_code == 200


def test_half_open_a_success_closes_it(
    client: Any, server: FaultServer, changes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while one call may try; when it works, all may."""
    fail(client, server, FAILURES)
    monkeypatch.setattr(breaker_module, "OPEN_SECONDS", 0.0)
    assert circuits.states() == {server.url: CircuitState.HALF_OPEN}
    assert client.get(server.url).status_code == 200
    assert circuits.states() == {server.url: CircuitState.CLOSED}
    assert [new for _, new in changes] == ["open", "half open", "closed"]


def test_half_open_a_call_that_is_broken_off_leaves_it_to_the_next(
    client: Any, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends it, as early as when the state is announced, another one may try."""

    def interrupt(new: CircuitState, **kwargs: Any) -> None:
        if new is CircuitState.HALF_OPEN:
            raise KeyboardInterrupt

    fail(client, server, FAILURES)
    monkeypatch.setattr(breaker_module, "OPEN_SECONDS", 0.0)
    circuit_changed.connect(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            client.get(server.url)
    finally:
        circuit_changed.disconnect(interrupt)
    assert client.get(server.url).status_code == 200


def test_half_open_a_failure_opens_it_again(
    client: Any, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failure is enough then."""
    fail(client, server, FAILURES)
    monkeypatch.setattr(breaker_module, "OPEN_SECONDS", 0.0)
    fail(client, server, 1)
    monkeypatch.setattr(breaker_module, "OPEN_SECONDS", 60.0)
    with pytest.raises(CircuitOpenError):
        client.get(server.url)


def test_half_open_one_call_at_a_time(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one tries, the others are still refused; if it is given up, the next may try."""
    circuit = circuits.of(server.url)
    for _ in range(FAILURES):
        with circuit.trial() as trial:
            trial.ok = False
    monkeypatch.setattr(breaker_module, "OPEN_SECONDS", 0.0)
    with circuit.trial(), pytest.raises(CircuitOpenError), circuit.trial():
        pass
    with circuit.trial() as trial:
        trial.ok = True
    assert circuit.state is CircuitState.CLOSED


def test_who_began_before_it_opened_decides_nothing(server: FaultServer) -> None:
    """A late success does not close it, a late failure does not hold it open for longer."""
    circuit = circuits.of(server.url)
    with circuit.trial() as late_success, circuit.trial() as late_failure:
        for _ in range(FAILURES):
            with circuit.trial() as trial:
                trial.ok = False
        opened_at = circuit._opened_at
        late_failure.ok, late_success.ok = False, True
    assert circuit.state is CircuitState.OPEN
    assert circuit._opened_at == opened_at


def test_a_time_that_was_over_before_is_not_the_service_s_fault(
    client_of: Any, server: FaultServer
) -> None:
    """A slow token service does not open the circuit of another one."""

    def slow() -> str:
        threading.Event().wait(0.03)
        return "late"

    for _ in range(FAILURES + 1):
        with pytest.raises(ServiceTimeoutError):
            client_of(token=slow).get(server.url, deadline=0.02)
    assert circuits.of(server.url).state is CircuitState.CLOSED


def test_a_refusal_tells_what_was_called(client: Any, server: FaultServer) -> None:
    """Its details are those of other errors; no attempt was made."""
    fail(client, server, FAILURES)
    with pytest.raises(CircuitOpenError) as raised:
        client.get(server.url, "fine")
    details = raised.value.details
    assert (details["method"], details["path"], details["attempts"]) == ("GET", "/fine", 0)


def test_a_listener_that_is_a_coroutine_function(client: Any, server: FaultServer) -> None:
    """What it cannot do in a running loop is no error of the call."""

    async def hear(**kwargs: Any) -> None:
        return None

    circuit_changed.connect(hear)
    external_call_finished.connect(hear)
    try:
        fail(client, server, FAILURES)
    finally:
        circuit_changed.disconnect(hear)
        external_call_finished.disconnect(hear)


def test_a_child_does_not_wait_for_a_probe_of_its_parent(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt that holds the circuit half open is not under way there."""
    circuit = circuits.of(server.url)
    for _ in range(FAILURES):
        with circuit.trial() as trial:
            trial.ok = False
    monkeypatch.setattr(breaker_module, "OPEN_SECONDS", 0.0)
    with circuit.trial():
        child = os.fork()
        if child == 0:
            os._exit(0 if circuits.of(server.url).state is CircuitState.CLOSED else 1)
        assert os.waitpid(child, 0)[1] == 0
