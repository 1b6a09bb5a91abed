"""The servers that the project brings along start, answer and go away."""

from pathlib import Path

import psycopg
import pytest
import redis

from config.stack import PostgresServer, ValkeyServer, servers
from config.stack.servers import free_port, running


@pytest.mark.parametrize("installed", [True, False], ids=["on PATH", "from the wheel"])
def test_valkey_serves_on_a_private_socket(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed server is preferred; without one the wheel's serves just as well."""
    if not installed:
        monkeypatch.setattr(servers.shutil, "which", lambda name: None)
    server = ValkeyServer(tmp_path)
    with running(server), redis.Redis.from_url(server.url(db=1)) as client:
        assert client.set("key", "value")
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert server.socket.stat().st_mode & 0o077 == 0
    assert not server.answers()
    server.remove()


def test_valkey_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    """What was written is there after the server comes back."""
    server = ValkeyServer(tmp_path)
    with running(server), redis.Redis.from_url(server.url()) as client:
        client.set("key", "value")
    with running(server), redis.Redis.from_url(server.url()) as client:
        assert client.get("key") == b"value"
    server.remove()


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    """A socket path has a limit of about 100 characters, a work directory has not."""
    server = ValkeyServer(tmp_path / ("x" * 100))
    assert len(str(server.socket)) < 100
    server.remove()
    assert not server.socket.parent.exists()


def test_postgres_serves_and_leaves_nothing(tmp_path: Path) -> None:
    """The embedded PostgreSQL runs whoever starts it, root included."""
    server = PostgresServer(tmp_path, fsync=False)
    with running(server):
        server.create_database("shop")
        server.create_database("shop")
        with psycopg.connect(server.url("shop")) as connection:
            row = connection.execute("SELECT current_database()").fetchone()
        assert row == ("shop",)
    server.remove()
    assert not server.home.exists()


def test_a_port_in_use_is_not_taken() -> None:
    """The preferred port is given when it is free, another one when it is not."""
    port = free_port()
    assert free_port(port) == port
    with servers.socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert free_port(port) != port
