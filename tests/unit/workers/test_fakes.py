"""The stand-ins for Twilio, PostHog and webhooks do what tests rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from config.demo.fakes import Failure, FakeServer
from config.settings.environment import BASE_DIR


def call(fakes: FakeServer, key: str, body: str = "x") -> int:
    headers = {"Idempotency-Key": key}
    return requests.post(f"{fakes.url}/hook", data=body, headers=headers, timeout=5).status_code


def test_what_arrives_is_recorded_and_counted(fakes: FakeServer) -> None:
    """Every call is kept in order, and repeats are found by their key."""
    for key in ("a", "b", "a"):
        assert call(fakes, key) == 200
    assert [item.key for item in fakes.received("webhook")] == ["a", "b", "a"]
    assert fakes.duplicates("webhook") == {"a": 2}
    assert fakes.received("twilio") == []


def test_failures_are_met_in_order_and_end(fakes: FakeServer) -> None:
    """A failure lasts for its number of requests; what it fails is counted but not received."""
    fakes.fail("webhook", Failure(times=2, status=503))
    fakes.fail("webhook", Failure(status=500))
    assert [call(fakes, "a") for _ in range(4)] == [503, 503, 500, 200]
    assert (fakes.requests("webhook"), len(fakes.received("webhook"))) == (4, 1)


def test_a_failure_may_meet_some_requests_only(fakes: FakeServer) -> None:
    """A failure for a text leaves other requests alone, until it is healed."""
    fakes.fail("webhook", Failure(times=-1, status=500, containing="poison"))
    assert [call(fakes, "a", body) for body in ("fine", "poison", "poison")] == [200, 500, 500]
    fakes.heal("webhook")
    assert call(fakes, "a", "poison") == 200


def test_connections_can_break_before_and_after_the_work(fakes: FakeServer) -> None:
    """`drop` loses the request, `lose_reply` only the answer."""
    for failure, received in ((Failure(drop=True), 0), (Failure(lose_reply=True), 1)):
        fakes.fail("webhook", failure)
        with pytest.raises(requests.ConnectionError):
            call(fakes, "a")
        assert len(fakes.received("webhook")) == received


def test_it_is_controlled_over_http(fakes: FakeServer) -> None:
    """Another process programs failures and asks for what arrived."""
    failure = {"kind": "webhook", "status": 418}
    assert requests.post(f"{fakes.url}/_fail", json=failure, timeout=5).ok
    assert [call(fakes, "a"), call(fakes, "b")] == [418, 200]
    received = requests.get(f"{fakes.url}/_received?kind=webhook", timeout=5).json()
    assert [item["key"] for item in received] == ["b"]
    assert requests.post(f"{fakes.url}/_reset", timeout=5).ok
    assert fakes.received() == []


def test_it_runs_as_a_process_and_keeps_a_log(tmp_path: Path) -> None:
    """Started by itself it prints its address and writes what arrives as JSON lines."""
    log = tmp_path / "received.jsonl"
    command = [sys.executable, "-m", "config.demo.fakes", "--log", str(log)]
    with subprocess.Popen(command, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert requests.post(f"{url}/hook", headers={"Idempotency-Key": "k"}, timeout=5).ok
        process.terminate()
    assert json.loads(log.read_text())["key"] == "k"
