"""What nobody catches is a line as well."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading

import pytest

from config.settings.environment import BASE_DIR
from core.logs import parse_line
from core.logs.uncaught import log_uncaught

FAIL = """
import logging.config, threading
from core.logs import logging_config
logging.config.dictConfig(logging_config(service="web", format="{format}"))

class Leaky:
    def __del__(self):
        raise ValueError("password=hunter2")

def fail(error):
    raise error

thread = threading.Thread(target=fail, args=[KeyError("k")], name="shop-1")
thread.start()
thread.join()
threading.Thread(target=fail, args=[SystemExit()]).start()
Leaky()
fail(RuntimeError("two\\nlines"))
"""


@pytest.mark.parametrize("format", ["text", "json"])
def test_each_is_one_line_with_its_traceback(format: str) -> None:
    """Of a thread and of a finalizer; what ends the program is shown as ever."""
    script = FAIL.replace("{format}", format)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BASE_DIR, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    first, second, *program = done.stderr.splitlines()
    thread, finalizer = parse_line(first), parse_line(second)
    assert thread["message"] == "the thread shop-1 has ended by an exception that nobody caught"
    assert thread["exception"].endswith("KeyError: 'k'")
    assert "Leaky.__del__" in finalizer["object"]
    assert "hunter2" not in finalizer["exception"]
    assert (thread["level"], finalizer["level"]) == ("ERROR", "ERROR")
    assert (program[0], program[-1]) == ("Traceback (most recent call last):", "lines")


def test_on_a_terminal_they_stay_as_they_are() -> None:
    """Whoever sits there reads tracebacks, not escapes."""
    terminal, end = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", FAIL.replace("{format}", "text")], cwd=BASE_DIR, stderr=end
    )
    os.close(end)
    written = b""
    try:
        while chunk := os.read(terminal, 65_536):
            written += chunk
    except OSError:
        pass  # how Linux says that the other end is closed
    os.close(terminal)
    assert child.wait(30) == 1
    assert written.count(b"Traceback (most recent call last):\r\n") == 3
    assert b"service=web" not in written


def test_hooks_of_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as those of pytest, of a debugger or of an error tracker."""

    def theirs(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(threading, "excepthook", theirs)
    monkeypatch.setattr(sys, "unraisablehook", theirs)
    log_uncaught()
    assert {threading.excepthook, sys.unraisablehook} == {theirs}
