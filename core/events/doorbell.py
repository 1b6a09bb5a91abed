"""The doorbell: how a delivery task that has run out of work hears of more without a message.

At a low, steady rate Celery's cost per message is the largest part. So a task that has drained
its queues stays a little, says in Redis that it is there, and waits on a list. Who fires then
pushes to the list instead of publishing a task. It needs a Redis or Valkey; without one, wake-ups
are always messages.

No event hangs on it. Whoever rings has committed before, and a task that leaves takes its sign
down first and then looks for work once more; so either the ringer sees no sign and publishes, or
the task sees the work. A task that dies leaves a sign that expires; the sweep covers that time.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Iterable

from celery import current_app

from core.events.conf import conf

try:
    import redis
except ImportError:  # pragma: no cover - the broker is RabbitMQ and no Redis client is there
    redis = None  # type: ignore[assignment] # an optional part

logger = logging.getLogger(__name__)

_PREFIX = "signalbox:"
# How Celery's addresses name what redis-py calls "none", "optional" and "required".
_CERTIFICATES = re.compile(r"(?<=[?&]ssl_cert_reqs=)CERT_([A-Z]+)")
# Seconds that a sign stays when its task dies or is held up by a slow handler.
_SIGN_SECONDS = 0.4
# A sign that is younger than this, in seconds, outlasts the next wait and is not renewed for it.
_YOUNG = 0.2
# Seconds that a Redis that does not answer is left alone.
_REST_SECONDS = 5.0
_PATIENCE = 0.5

# So many tasks listen for a queue at once: while one handles, the other hears the next ring.
_LISTENERS = 2

# The sign of a message that was sent and that no task has answered yet: whoever comes meanwhile
# need not send another, since that task claims after it has put up its own sign.
_UNDER_WAY = "sent"
_UNDER_WAY_MS = 300

# A queue's signs are one sorted set: who listens, by the server's time at which the sign expires.
_CLOCK = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""

# Returns the numbers of the queues for which a message has to be sent: those where nobody listens,
# and one of those whose only listener has not come to hear the last ring.
_RING = (
    _CLOCK
    + """
local sent, sent_until, most = ARGV[1], now + ARGV[2], tonumber(ARGV[3])
local deaf, half = {}, #KEYS / 2
local bells, short = {}, {}
for i = 1, half do
    local signs = KEYS[i]
    local there = redis.call('ZRANGEBYSCORE', signs, now, '+inf')
    local listeners = {}
    for _, name in ipairs(there) do
        if name ~= sent then table.insert(listeners, name) end
    end
    local expected = #listeners < #there
    if #listeners == 0 then
        if not expected then
            redis.call('ZADD', signs, sent_until, sent)
            redis.call('PEXPIRE', signs, 2000)
            table.insert(deaf, i)
        end
    else
        table.sort(listeners)
        local who = table.concat(listeners, ' ')
        if not bells[who] then
            -- One item is enough, however many rang and for however many queues: who hears it
            -- looks at all that it serves. Nobody needs it for long.
            local bell = KEYS[half + i]
            bells[who] = true
            if redis.call('EXISTS', bell) == 0 then
                redis.call('LPUSH', bell, 1)
            elseif #listeners < most and not expected then
                short[who] = true
                table.insert(deaf, i)
            end
            redis.call('PEXPIRE', bell, 2000)
        end
        if short[who] then
            redis.call('ZADD', signs, sent_until, sent)
        end
    end
end
return deaf
"""
)

# Returns the numbers of the queues for which this task listens now.
_PUT_UP = (
    _CLOCK
    + """
local me, sent, stay, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local mine = {}
for i, signs in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', signs, '-inf', '(' .. now)
    local known = redis.call('ZSCORE', signs, me)
    if not known then redis.call('ZREM', signs, sent) end
    if known or redis.call('ZCARD', signs) < most then
        redis.call('ZADD', signs, now + stay, me)
        redis.call('PEXPIRE', signs, math.max(stay, 2000))
        table.insert(mine, i)
    end
end
return mine
"""
)

# Only whoever put a sign up takes it down; that of a message, whoever answers it.
_TAKE_DOWN = """
for _, signs in ipairs(KEYS) do redis.call('ZREM', signs, ARGV[1]) end
"""


class _Server:
    """The Redis of the doorbell, and the scripts that it runs."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(
            url,
            socket_timeout=_PATIENCE + conf.linger_seconds,
            socket_connect_timeout=_PATIENCE,
            # Not twice: a ring whose answer was lost would find its own sign, and take it
            # for a message under way. What broke while idle is replaced by the pool.
            retry=None,
        )
        # Only a connection finds out that the address has options that no client knows.
        self.client.connection_pool.make_connection()
        self.ring = self.client.register_script(_RING)
        self.put_up = self.client.register_script(_PUT_UP)
        self.take_down = self.client.register_script(_TAKE_DOWN)


class Doorbell:
    """Both sides of the bell, for this process."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Start afresh: connections do not survive a fork."""
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._url: str | None = None
        self._resting_until = 0.0

    def ring(self, queues: Iterable[str]) -> dict[str, bool]:
        """Ring for these queues; return for each whether a task is there that will look."""
        queues = sorted(queues)
        server = self._connect()
        if server is None:
            return dict.fromkeys(queues, False)
        keys = [key(queue) for key in (_sign, _bell) for queue in queues]
        try:
            deaf = server.ring(keys, [_UNDER_WAY, _UNDER_WAY_MS, _LISTENERS])
        except redis.RedisError as error:
            self._rest(error)
            return dict.fromkeys(queues, False)
        return {queue: number not in deaf for number, queue in enumerate(queues, 1)}

    def listen(self, queues: Iterable[str]) -> Listener | None:
        """Return a listener for these queues, or None where there is no doorbell."""
        server = self._connect()
        queues = sorted(queues)
        if server is None or not queues or conf.linger_seconds <= 0:
            return None
        return Listener(self, server, queues)

    def answer(self, queues: Iterable[str]) -> None:
        """Say, before the only look for work, that a message sent for these queues has come."""
        server = self._connect()
        if server is None:
            return
        try:
            server.take_down([_sign(queue) for queue in sorted(queues)], [_UNDER_WAY])
        except redis.RedisError as error:
            self._rest(error)

    def _connect(self) -> _Server | None:
        url = doorbell_url()
        if url is None or redis is None or time.monotonic() < self._resting_until:
            return None
        with self._lock:
            if self._server is None or self._url != url:
                try:
                    self._server, self._url = _Server(url), url
                except (redis.RedisError, TypeError, ValueError) as error:
                    # A bad address must not keep anything from being delivered.
                    self._rest(error)
                    return None
            return self._server

    def _rest(self, error: Exception) -> None:
        self._resting_until = time.monotonic() + _REST_SECONDS
        logger.warning(
            "the doorbell cannot be used (%s); wake-ups are messages for %g s",
            type(error).__name__,
            _REST_SECONDS,
        )


class Listener:
    """A delivery task's ear at the door: two of them at most listen for a queue."""

    def __init__(self, bell: Doorbell, server: _Server, queues: list[str]) -> None:
        self._bell = bell
        self._server = server
        self._queues = queues
        self._mine: list[str] = []
        self._name = secrets.token_hex(8)
        self._signed_at = 0.0
        self._fresh = False

    def come(self) -> None:
        """Put up the signs before the first look for work, so that nobody sends a message more."""
        try:
            self._put_up()
        except redis.RedisError as error:
            self._bell._rest(error)
        self._fresh = False

    def wait(self, until: float) -> bool:
        """Wait for a ring until the linger time is over or `until` (monotonic) has come.

        True means that there may be work: somebody rang, or the sign was just put up and work may
        have come before it.
        """
        left = min(conf.linger_seconds, until - time.monotonic())
        if left <= 0.01:
            return False
        try:
            if not self._is_young() and not self._put_up():
                return False
            if self._fresh:
                self._fresh = False
                return True
            keys = [_bell(queue) for queue in self._mine]
            rung = self._server.client.blpop(keys, timeout=left)
        except redis.RedisError as error:
            self._bell._rest(error)
            return False
        return rung is not None

    def _is_young(self) -> bool:
        return bool(self._mine) and time.monotonic() - self._signed_at < _YOUNG

    def _put_up(self) -> bool:
        """Put up or renew the signs; return whether this task listens for any queue."""
        milliseconds = int(1000 * (_SIGN_SECONDS + conf.linger_seconds))
        signs = [_sign(queue) for queue in self._queues]
        self._signed_at = time.monotonic()
        found = self._server.put_up(signs, [self._name, _UNDER_WAY, milliseconds, _LISTENERS])
        mine = [self._queues[number - 1] for number in found]
        self._fresh = bool(set(mine) - set(self._mine))
        self._mine = mine
        return bool(mine)

    def leave(self) -> bool:
        """Take the signs down; return whether there were any, so that one more look is due."""
        if not self._mine:
            return False
        try:
            self._server.take_down([_sign(queue) for queue in self._mine], [self._name])
        except redis.RedisError as error:
            self._bell._rest(error)
        self._mine = []
        return True


def doorbell_url() -> str | None:
    """Return the address of the doorbell's Redis, or None where there is none."""
    url = conf.doorbell_url or str(current_app.conf.broker_url or "")
    if url.startswith(("redis://", "rediss://", "unix://")):
        return _CERTIFICATES.sub(lambda found: found[1].lower(), url)
    if url.startswith("redis+socket://"):
        path, _, query = url.removeprefix("redis+socket://").partition("?")
        return f"unix://{path}" + (f"?{query.replace('virtual_host', 'db')}" if query else "")
    return None


def _sign(queue: str) -> str:
    return f"{_prefix()}signs:{queue}"


def _bell(queue: str) -> str:
    return f"{_prefix()}bell:{queue}"


def _prefix() -> str:
    """Return how keys begin: installations that share a Redis tell theirs apart as Celery does."""
    options = current_app.conf.broker_transport_options or {}
    return f"{options.get('global_keyprefix', '')}{_PREFIX}"


doorbell = Doorbell()
