"""Destinations that fail stop nobody, and several processes share a file without losing a line."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings.environment import BASE_DIR
from core.logs import parse_line
from core.logs.destinations import Destination, destinations
from tests.acceptance.support import until

WRITER = """
import logging, logging.config, os, sys
from core.logs import logging_config
path, name, lines, size = sys.argv[1:]
config = logging_config(service=name, file=path, file_bytes=int(size), file_backups=500)
config["root"]["handlers"] = ["file"]
logging.config.dictConfig(config)
children = [os.fork() for _ in range(1)]
who = name + ("-child" if 0 in children else "")
for number in range(int(lines)):
    logging.getLogger(who).info("line %d", number, extra={"padding": "x" * (number % 200)})
if 0 not in children:
    os.waitpid(children[0], 0)
"""


FORKS = """
import logging, logging.config, os, sys, threading
from core.logs import logging_config
config = logging_config(service="web", file=sys.argv[1])
config["root"]["handlers"] = ["file"]
logging.config.dictConfig(config)
over = threading.Event()
def write():
    while not over.is_set():
        logging.info("busy")
threads = [threading.Thread(target=write) for _ in range(2)]
[thread.start() for thread in threads]
for number in range(20):
    child = os.fork()
    if not child:
        logging.info("child")
        os._exit(0)
    os.waitpid(child, 0)
over.set()
[thread.join() for thread in threads]
"""


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger that is not the root's, with the handlers of a configuration."""
    logger = logging.getLogger("tests.destinations")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Any:
    """What is told about destinations."""
    caplog.set_level(logging.WARNING, "core.logs")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "core.logs"]


def destination(factory: Any, **options: Any) -> Destination:
    made = Destination(label="it", factory=factory, options=options, retry_seconds=0)
    made.setFormatter(logging.Formatter("%(message)s"))
    return made


def start_writers(path: Path, number: int, lines: int, size: int) -> list[subprocess.Popen[bytes]]:
    return [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), f"writer-{each}", str(lines), str(size)],
            cwd=BASE_DIR,
            start_new_session=True,
        )
        for each in range(number)
    ]


def test_several_processes_write_and_rotate_one_file(tmp_path: Path) -> None:
    """Forked ones too: no line is lost, torn or out of the order in which its process wrote it."""
    writers = start_writers(tmp_path / "all.log", 3, 400, 40_000)
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = [path for path in tmp_path.iterdir() if path.name.startswith("all.log")]
    assert len(files) > 5
    found: dict[str, list[int]] = {}
    # The oldest first: all.log.9, ..., all.log.1, all.log
    for path in sorted(files, key=lambda path: -int(path.suffix[1:].replace("log", "0"))):
        for line in path.read_text().splitlines():
            fields = parse_line(line)
            found.setdefault(fields["logger"], []).append(int(fields["message"].split()[1]))
    assert len(found) == 6
    assert all(numbers == list(range(400)) for numbers in found.values())


def test_a_process_that_forks_while_its_threads_log(tmp_path: Path) -> None:
    """Every child logs as its parent does, wherever a thread of the parent was just then."""
    path = tmp_path / "all.log"
    subprocess.run([sys.executable, "-c", FORKS, str(path)], cwd=BASE_DIR, check=True, timeout=60)
    messages = [parse_line(line)["message"] for line in path.read_text().splitlines()]
    assert messages.count("child") == 20


def test_a_directory_that_nobody_may_write_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The console goes on, one warning says what is missing, and the lost lines are counted."""
    (tmp_path / "file").write_text("")
    script = (
        "import logging, logging.config\n"
        "from core.logs import logging_config\n"
        "from core.logs.destinations import destinations\n"
        f"logging.config.dictConfig(logging_config(service='web', file={str(tmp_path)!r} + "
        "'/file/app.log'))\n"
        "[logging.getLogger('shop').info('line %d', n) for n in range(3)]\n"
        "print([status for status in destinations() if status.failing])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    lines = [parse_line(line) for line in done.stderr.splitlines()]
    messages = [line["message"] for line in lines if line["logger"] == "shop"]
    assert messages == ["line 0", "line 1", "line 2"]
    (warning,) = [line for line in lines if line["logger"] == "core.logs"]
    assert warning["level"] == "WARNING"
    assert f"{tmp_path}/file/app.log" in warning["message"]
    # The warning itself is one of the four.
    assert "failing=True, lost=4" in done.stdout


def test_a_full_disk(tmp_path: Path) -> None:
    """Lines that do not fit are lost whole: once there is room, every line is complete again."""
    script = (
        "import logging, logging.config, resource, signal, time\n"
        "from core.logs import logging_config\n"
        f"config = logging_config(service='web', file={str(tmp_path / 'app.log')!r})\n"
        "config['handlers']['file']['retry_seconds'] = 0\n"
        "logging.config.dictConfig(config)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log = logging.getLogger('shop')\n"
        "log.info('before')\n"
        "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))\n"
        "[log.info('full %d', n) for n in range(5)]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limits)\n"
        "log.info('after')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    console = [parse_line(line) for line in done.stderr.splitlines()]
    assert [line["message"] for line in console if line["logger"] == "shop"] == (
        ["before", *(f"full {n}" for n in range(5)), "after"]
    )
    told = [line["message"] for line in console if line["logger"] == "core.logs"]
    assert len(told) == 2
    assert "not available" in told[0]
    assert "available again" in told[1]
    *_, last, back = (tmp_path / "app.log").read_text().splitlines()
    assert parse_line(last)["message"] == "after"
    assert parse_line(back)["logger"] == "core.logs"


def test_a_console_that_is_closed(
    log: logging.Logger, monkeypatch: pytest.MonkeyPatch, warnings: Any
) -> None:
    """Whatever becomes of standard error, a log call returns; it is used again when it is back."""
    it = destination("core.logs.destinations.Console")
    log.addHandler(it)
    # The console of the tests' own process would be left out for a while as well.
    root = logging.getLogger()
    others = [each for each in root.handlers if not isinstance(each, Destination)]
    monkeypatch.setattr(root, "handlers", others)
    closed = io.StringIO()
    closed.close()
    for broken in (closed, None):
        monkeypatch.setattr(sys, "stderr", broken)
        log.info("lost")
    assert (it.status.failing, it.status.lost) == (True, 2)
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    log.info("seen")
    assert stream.getvalue() == "seen\n"
    assert [text.partition(":")[0] for text in warnings() if "destination it" in text] == [
        "the log destination it is not available, its lines are left out",
        "the log destination it is available again; lines lost so far",
    ]


def test_a_handler_that_cannot_be_imported(log: logging.Logger, warnings: Any) -> None:
    """A mistake in the settings costs that destination only."""
    log.addHandler(destination("nowhere.Handler"))
    log.info("x")
    (warning,) = warnings()
    assert "ModuleNotFoundError" in warning


def test_it_rests_after_a_failure(log: logging.Logger) -> None:
    """A destination that fails slowly is not tried again for every line."""
    tries = []

    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tries.append(record)
            raise OSError("gone")

    it = Destination(label="slow", factory=Failing, retry_seconds=60)
    log.addHandler(it)
    for _ in range(5):
        log.info("x")
    assert (len(tries), it.status.lost) == (1, 5)
    assert it.status in destinations()


def test_a_handler_that_logs(log: logging.Logger) -> None:
    """What a destination logs while it writes does not go to itself."""
    seen = []

    class Talking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())
            log.info("I am writing")

    log.addHandler(Destination(label="talking", factory=Talking))
    log.info("x")
    assert seen == ["x"]


def test_a_process_that_stands_still_with_the_lock(tmp_path: Path, log: logging.Logger) -> None:
    """Another one waits for a second, not for ever, and then does without the file."""
    path = tmp_path / "app.log"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX);"
            "print('held', flush=True); sys.stdin.read()",
            str(tmp_path / ".__app.lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout
    assert holder.stdin
    holder.stdout.readline()
    options = {"path": str(path), "max_bytes": 10**6, "backups": 1}
    it = destination("core.logs.destinations.SharedFile", **options)
    log.addHandler(it)
    began = time.monotonic()
    log.info("lost")
    assert 0.5 < time.monotonic() - began < 5
    assert it.status.failing
    holder.stdin.close()
    holder.wait(10)
    holder.stdout.close()
    until(lambda: log.info("seen") or not it.status.failing)
    assert path.read_text().startswith("seen\n")


def test_a_killed_writer_leaves_the_file_usable(tmp_path: Path) -> None:
    """The lock goes with the process, and what it wrote are whole lines."""
    path = tmp_path / "all.log"
    (killed,) = start_writers(path, 1, 10**7, 10**9)
    until(lambda: path.exists() and path.stat().st_size > 20_000)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    (writer,) = start_writers(path, 1, 5, 10**9)
    assert writer.wait(30) == 0
    *lines, _ = path.read_text().splitlines()
    assert [line for line in lines if not parse_line(line)] == []


def test_further_handlers(tmp_path: Path) -> None:
    """A handler by its dotted path, with its options and a level of its own."""
    script = (
        "import logging, logging.config\n"
        "from core.logs import logging_config\n"
        f"given = {{'class': 'logging.FileHandler', 'filename': {str(tmp_path / 'errors.log')!r},"
        " 'level': 'ERROR'}\n"
        "logging.config.dictConfig(logging_config(service='web', handlers={'errors': given}))\n"
        "logging.warning('no')\n"
        "logging.error('yes')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    (line,) = (tmp_path / "errors.log").read_text().splitlines()
    assert parse_line(line)["message"] == "yes"
    assert [parse_line(each)["message"] for each in done.stderr.splitlines()] == ["no", "yes"]
