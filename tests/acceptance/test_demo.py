"""`make demo` in small, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[2]
ORDERS = 120


@contextmanager
def started(marker: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run the demo for the length of a block, and no longer."""
    with subprocess.Popen(
        [sys.executable, "-m", "config.demo", "--orders", str(ORDERS)],
        cwd=ROOT,
        env={**os.environ, "DEMO_MARKER": marker},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def marked_processes(marker: str) -> Iterator[int]:
    """Yield the processes that inherited the marker from the demo."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"DEMO_MARKER={marker}".encode() in environment.read_bytes().split(b"\0"):
                yield int(environment.parent.name)
        except OSError:
            continue


def test_the_demo_loses_and_doubles_nothing() -> None:
    """Through a killed worker, an emptied broker and failing services every effect is exact."""
    with started() as demo:
        output, _ = demo.communicate(timeout=170)
    assert demo.returncode == 0, output
    assert "Nothing was lost and nothing was doubled" in output
    assert "kill -9" in output


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_ctrl_c_stops_everything() -> None:
    """A person who has seen enough leaves no process behind."""
    marker = str(uuid4())
    with started(marker) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if "on sale" in line:
                break
        assert len(list(marked_processes(marker))) > 5
        demo.send_signal(signal.SIGINT)
        output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    assert not list(marked_processes(marker))
