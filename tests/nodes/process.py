"""A child process in the shape of a Docker container."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from config.settings.environment import BASE_DIR

STOP_SECONDS = 15.0
FORCES = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT)


class LocalProcess:
    """Starts at once, in a process group of its own; has what pytest-celery asks of a container."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.attrs: dict[str, Any] = {
            "Config": {"Hostname": "127.0.0.1", "Env": [f"{k}={v}" for k, v in env.items()]},
            "NetworkSettings": {"Networks": {}, "Ports": {}},
        }
        self._command, self._env, self._log = list(command), dict(env), log
        self._written = 0
        self._start()

    @property
    def id(self) -> str:
        return f"{self.name}-{self.pid}"

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def status(self) -> str:
        return "running" if self._child.poll() is None else "exited"

    def reload(self) -> None:
        """Do nothing: what a container would have to ask Docker for is always up to date here."""

    def logs(self) -> bytes:
        """Return what was written since the last start."""
        return self._log.read_bytes()[self._written :]

    def kill(self, signal_name: str | int | None = None) -> None:
        """Send a signal (SIGKILL); what a process cannot refuse, all that it has started gets."""
        number = _number(signal_name or signal.SIGKILL)
        if number in FORCES:
            self._signal_group(number)
        else:
            self._child.send_signal(number)
        if number == signal.SIGKILL:
            self._child.wait(STOP_SECONDS)

    def wait(self, seconds: float) -> int:
        """Wait for the end and return the exit code. Raises TimeoutError."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{self.name} still runs after {seconds:g} s") from error

    def restart(self, timeout: float = STOP_SECONDS) -> None:
        """End the process, by force if it takes longer, and start it again."""
        self.stop(timeout)
        self._start()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the process and all that it has started."""
        if self.status == "running":
            self._child.terminate()
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        self._signal_group(signal.SIGKILL)
        self._child.wait()

    def remove(self, **_: Any) -> None:
        """End the process, and all that it has started, for good and at once."""
        self._signal_group(signal.SIGKILL)
        self._child.wait()

    def exec_run(self, command: str | Sequence[str], **_: Any) -> tuple[int, bytes]:
        """Run a command in the environment of the process; return its exit code and output."""
        words = shlex.split(command) if isinstance(command, str) else list(command)
        done = subprocess.run(words, env=self._env, cwd=BASE_DIR, capture_output=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def _start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            self._written = output.tell()
            self._child = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            pass  # everything has ended by itself


def _number(name: str | int) -> int:
    return getattr(signal, name) if isinstance(name, str) else int(name)
