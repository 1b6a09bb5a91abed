"""The way to the workers: one Celery message for a batch, over a connection of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import orjson
from celery import current_app
from kombu.exceptions import ChannelError

logger = logging.getLogger(__name__)

# Seconds that a broker may keep the thread waiting.
_PATIENCE = 1.0
# Seconds without use after which a connection may have been cut on its way.
_IDLE = 60.0
# Seconds after which the number of messages that wait is asked for again.
_ASK_EVERY = 1.0
_OPTIONS = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "socket_timeout": _PATIENCE,
    "socket_connect_timeout": _PATIENCE,
}
# RabbitMQ then says that it has the message; else a broken connection could swallow it unseen.
_AMQP_OPTIONS = {"confirm_publish": True, "read_timeout": _PATIENCE, "write_timeout": _PATIENCE}


def hidden(records: Sequence[Any]) -> dict[str, str]:
    """Return the options of a message that show how many records it has, and not what they are.

    That concerns nobody who looks at the task in Flower or in a log.
    """
    return {"argsrepr": "()", "kwargsrepr": f"{{<{len(records)} records>}}"}


class Broker:
    """Publishes batches to one queue and knows how many messages wait there.

    Every method raises what the broker's client raises, and none waits much longer than a second.
    """

    def __init__(self, *, task: str, queue: str) -> None:
        self._task = task
        self._queue = queue
        self._producer: Any = None
        self._waiting = 0
        self._asked_at = self._used_at = 0.0

    def waiting(self) -> int:
        """Return how many messages wait, as far as known: asked at most once a second."""
        self._connect()
        now = time.monotonic()
        if now - self._asked_at >= _ASK_EVERY:
            self._waiting = self._ask()
            self._asked_at = now
        return self._waiting

    def publish(self, records: Sequence[bytes], source: dict[str, Any]) -> None:
        """Send one message with these records, each a JSON text."""
        self._connect()
        message = current_app.amqp.as_task_v2(
            str(uuid4()),
            self._task,
            ignore_result=True,
            **hidden(records),
        )
        self._producer.publish(
            # Put together from what is JSON already: nothing is decoded to be encoded again.
            b'[[],{"records":[%b],"source":%b},%b]'
            % (b",".join(records), orjson.dumps(source), orjson.dumps(message.body[2])),
            routing_key=self._queue,
            content_type="application/json",
            content_encoding="utf-8",
            headers=message.headers,
            delivery_mode=current_app.conf.task_default_delivery_mode,
            timeout=_PATIENCE,
            confirm_timeout=_PATIENCE,
            **message.properties,
        )
        self._waiting += 1

    def hang_up(self) -> None:
        """Close the connection, which may be broken; the next call makes another."""
        producer, self._producer = self._producer, None
        self._asked_at = 0.0
        if producer is None:
            return
        try:
            producer.connection.collect()
        except Exception as trouble:
            logger.debug("closing the broker connection failed: %s", type(trouble).__name__)

    def _connect(self) -> None:
        now = time.monotonic()
        if self._producer is not None and now - self._used_at > _IDLE:
            self.hang_up()
        self._used_at = now
        if self._producer is not None:
            return
        connection = current_app.connection_for_write(connect_timeout=_PATIENCE)
        options = {**(connection.transport_options or {}), **_OPTIONS}
        if connection.transport_cls in ("amqp", "amqps", "pyamqp"):
            options = {**(connection.transport_options or {}), **_AMQP_OPTIONS}
        connection.transport_options = options
        producer = current_app.amqp.Producer(connection, auto_declare=False)
        self._producer = producer
        # RabbitMQ drops without a word what is sent to a queue that is not there.
        current_app.amqp.queues[self._queue](producer.channel).declare()

    def _ask(self) -> int:
        channel = self._producer.channel
        try:
            return int(channel.queue_declare(self._queue, passive=True).message_count)
        except ChannelError:
            # On Redis a queue without messages is none; RabbitMQ has closed the channel.
            if getattr(channel, "is_open", True):
                return 0
            raise
