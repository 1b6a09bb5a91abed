"""pytest-celery's nodes as local processes, where there is no Docker engine.

pytest-celery thinks in containers. A `LocalProcess` has a container's shape around a child process,
and the node classes say where it can be reached; everything else is pytest-celery's own.
"""

from .local import GivenRabbitMQ, LocalRedis, LocalWorker
from .process import LocalProcess

__all__ = ["GivenRabbitMQ", "LocalProcess", "LocalRedis", "LocalWorker"]
