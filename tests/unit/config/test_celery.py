"""Celery is set up so that nothing it does, or fails to do, can lose an event."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kombu import Connection
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError

from config import redis_transport
from config.celery import app
from config.settings.celery import broker_from_cache, transport_options


def test_each_queue_gets_its_own_messages() -> None:
    """The six queues exist, each with a routing key of its own."""
    names = ["default", "notifications", "audit", "analytics", "cache", "logs"]
    assert [queue.name for queue in app.conf.task_queues] == names
    assert [queue.routing_key for queue in app.conf.task_queues] == names


def test_a_task_goes_to_the_queue_that_its_name_begins_with() -> None:
    """`cache.warm` runs on the queue `cache`, without a word in the task."""
    route = app.amqp.router.route({}, "cache.warm", (), {})
    assert route["queue"].name == "cache"


def test_messages_are_json_and_nothing_else() -> None:
    """No worker unpickles what a broker hands it, and no result is kept."""
    assert (app.conf.task_serializer, list(app.conf.accept_content)) == ("json", ["json"])
    assert app.conf.result_backend is None
    assert app.conf.task_ignore_result is True


def test_connections_to_the_database_are_kept() -> None:
    """Celery finds the setting that stops it from reconnecting around every task."""
    assert app.conf.get("CELERY_DB_REUSE_MAX") > 0


def test_workers_never_give_up_on_the_broker() -> None:
    """A worker reconnects for ever, and a publisher fails fast."""
    assert app.conf.broker_connection_max_retries is None
    assert app.conf.broker_connection_retry_on_startup is True
    assert app.conf.task_publish_retry_policy["max_retries"] == 1


@pytest.mark.parametrize("url", ["redis://h/0", "rediss://h/0", "redis+socket:///s", "amqp://h//"])
def test_no_broker_can_hold_a_caller_for_ever(url: str) -> None:
    """Every transport has limits on connecting and on writing."""
    options = transport_options(url)
    assert options.get("socket_connect_timeout") or options.get("connect_timeout")
    assert options.get("socket_timeout") or options.get("write_timeout")


@pytest.mark.parametrize(
    ("cache", "broker"),
    [
        ("", "redis://127.0.0.1:6379/0"),
        ("redis://h:6379/1", "redis://h:6379/1"),
        ("unix:///run/valkey?db=1", "redis+socket:///run/valkey?virtual_host=1"),
    ],
)
def test_the_cache_server_serves_as_broker(cache: str, broker: str) -> None:
    """With REDIS_URL alone the same server carries the messages."""
    assert broker_from_cache(cache) == broker


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+socket"])
def test_redis_means_the_mended_transport(scheme: str) -> None:
    """Every Redis address leads to the transport that survives a restart of its server."""
    with Connection(f"{scheme}://localhost/0") as connection:
        assert connection.get_transport_cls() is redis_transport.Transport


@pytest.fixture
def channel_of_a_lost_connection() -> Iterator[redis_transport.Channel]:
    channel = redis_transport.Channel.__new__(redis_transport.Channel)
    channel.connection = SimpleNamespace(client=None)
    yield channel
    # So that kombu's finaliser finds nothing to close.
    channel.closed = True


def test_a_torn_down_channel_is_a_lost_connection(
    channel_of_a_lost_connection: redis_transport.Channel,
) -> None:
    """A worker recovers from a lost connection; it does not from kombu's AttributeError."""
    with pytest.raises(RedisConnectionError):
        channel_of_a_lost_connection._connparams()
    with pytest.raises(AttributeError):
        kombu_redis.Channel._connparams(channel_of_a_lost_connection)
