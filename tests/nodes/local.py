"""The nodes: where each local process can be reached."""

from __future__ import annotations

from typing import Any

from pytest_celery import CeleryWorkerContainer, RabbitMQContainer, RedisContainer

from .process import LocalProcess


class _Local:
    """What local processes know without asking Docker's tools, which ask once a second."""

    def is_ready(self: Any) -> bool:
        """Tell whether the process has said that it is ready."""
        return self.ready_prompt in self.logs()

    def teardown(self: Any) -> None:
        """End the process."""
        self._container.remove()


class LocalRedis(_Local, RedisContainer):  # type: ignore[misc]  # pytest-celery has no types
    """A Redis or Valkey server on a port of this machine."""

    def __init__(self, process: LocalProcess, port: int) -> None:
        super().__init__(process)
        self._port = port

    @property
    def hostname(self) -> str:
        return "127.0.0.1"

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"{self.prefix()}{self.hostname}:{self.port}/{self.vhost}"

    @property
    def host_url(self) -> str:
        return self.url


class LocalWorker(_Local, CeleryWorkerContainer):  # type: ignore[misc]  # pytest-celery has no types
    """A worker of this checkout."""

    @property
    def pid(self) -> int:
        """Return the process id of the worker's main process."""
        return int(self._container.pid)

    def wait(self, seconds: float) -> int:
        """Wait for the worker's end and return its exit code."""
        return int(self._container.wait(seconds))


class _Service:
    """What a container would be, if the server were ours to start and stop."""

    name = id = "given"
    status = "running"
    attrs: dict[str, Any] = {"NetworkSettings": {"Networks": {}, "Ports": {}}}

    def reload(self) -> None:
        """Do nothing: nobody here can change it."""

    def logs(self) -> bytes:
        return b""


class GivenRabbitMQ(RabbitMQContainer):  # type: ignore[misc]  # pytest-celery has no types
    """A RabbitMQ that runs already, and is nobody's to stop."""

    ready_prompt = None

    def __init__(self, url: str) -> None:
        super().__init__(_Service())
        self._url = url

    @property
    def celeryconfig(self) -> dict[str, Any]:
        return {"url": self._url, "host_url": self._url}
