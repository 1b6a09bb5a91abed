"""Celery: the broker, the queues and how workers behave. Nothing here can lose an event.

Messages only say "queue Q has work", so they are not acknowledged late, not stored, not persistent,
never expire, and carry no result.
"""

from typing import Any

from kombu import Queue

from core.choices import QueueName

from .cache import REDIS_URL
from .environment import env

QUEUES: list[str] = QueueName.values
BROKER_SCHEMES = ["redis", "rediss", "redis+socket", "amqp", "amqps", "pyamqp", "memory"]


def broker_from_cache(url: str) -> str:
    """Return the address that kombu understands for the server that holds the cache."""
    if url.startswith("unix://"):
        return url.replace("unix://", "redis+socket://").replace("db=", "virtual_host=")
    return url or "redis://127.0.0.1:6379/0"


def transport_options(url: str) -> dict[str, Any]:
    """Return socket limits, so that a server that does not answer cannot hold anyone for ever."""
    if url.startswith(("amqp", "pyamqp")):
        return {"connect_timeout": 1, "write_timeout": 2}
    if url.startswith("redis"):
        return {"socket_timeout": 1, "socket_connect_timeout": 1, "socket_keepalive": True}
    return {}


CELERY_BROKER_URL = env.url(
    "CELERY_BROKER_URL", broker_from_cache(REDIS_URL), schemes=BROKER_SCHEMES
)
CELERY_BROKER_TRANSPORT_OPTIONS = transport_options(CELERY_BROKER_URL)
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None

CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in QUEUES]
CELERY_TASK_DEFAULT_QUEUE = "default"
# A task named "cache.warm" goes to the queue "cache", and so on.
CELERY_TASK_ROUTES = {f"{name}.*": {"queue": name} for name in QUEUES}
CELERY_TASK_DEFAULT_DELIVERY_MODE = "transient"
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None  # else beat schedules a daily cleaning of results

# Flower lives on the events of workers. The event that the sender would add costs one more publish
# per publish and tells only that a wake-up was sent.
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = False
# A delivery task runs for a while: what a busy worker reserves, an idle one cannot take.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = env.integer("CELERY_WORKER_CONCURRENCY", 2, minimum=1)
CELERY_WORKER_MAX_TASKS_PER_CHILD = env.integer(
    "CELERY_WORKER_MAX_TASKS_PER_CHILD", 1000, minimum=1
)
# How long running tasks may go on after SIGTERM. It needs REMAP_SIGTERM=SIGQUIT in the worker's
# environment, as every way to start a worker here has it; without, SIGTERM waits without end.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = env.seconds("CELERY_SOFT_SHUTDOWN_SECONDS", 20)
# Only tasks that acknowledge late are meant: they are sent again, so their first run is ended.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Without it Celery closes the database connection around every task: 6.7 ms each.
CELERY_DB_REUSE_MAX = env.integer("CELERY_DB_REUSE_MAX", 10_000, minimum=1)

CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
DJANGO_CELERY_BEAT_TZ_AWARE = True
