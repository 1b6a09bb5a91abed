"""Configs are values: checked, printable without secrets, and turned into Django's settings."""

import copy
import pickle
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import override_settings

from core import CacheConfig, DatabaseConfig, SecurityConfig
from core.environment import Environment
from core.exceptions import ConfigurationError

KEY = "hunter2-" * 8


def test_configs_keep_their_values() -> None:
    """What is given is what is there."""
    database = DatabaseConfig(host="localhost", port=5432, database="myapp", pool_size=20)
    assert (database.host, database.port) == ("localhost", 5432)
    assert (database.database, database.pool_size) == ("myapp", 20)
    cache = CacheConfig(backend="redis", host="localhost", port=6379, ttl_default=300)
    assert (cache.backend, cache.host) == ("redis", "localhost")
    assert (cache.port, cache.ttl_default) == (6379, 300)


CONFIGS = [
    DatabaseConfig(password="hunter2", options={"sslpassword": "hunter2"}),
    DatabaseConfig.from_url("postgres://u:hunter2@h/a?sslpassword=hunter2"),
    CacheConfig(password="hunter2"),
    CacheConfig(url="redis://:hunter2@h/1"),
    SecurityConfig(secret_key=KEY),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_secrets_are_not_shown(config: Any) -> None:
    """Neither a log nor a traceback shows a password."""
    assert "hunter2" not in repr(config) + str(config)
    assert type(config).__name__ in repr(config)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_configs_are_values(config: Any) -> None:
    """A config cannot change, equals its copies, and can be a key."""
    name = next(iter(config.__dataclass_fields__))
    with pytest.raises(FrozenInstanceError):
        setattr(config, name, "x")
    assert pickle.loads(pickle.dumps(config)) == config == copy.deepcopy(config)
    assert hash(config) == hash(copy.copy(config))


BAD = [
    (DatabaseConfig, "port", [0, 65536, "a", "1,x", -1, 1.5, True, None, "0"]),
    (DatabaseConfig, "database", ["", "  ", None, 7, "a\x00b"]),
    (DatabaseConfig, "host", [None, 7, "a\x00b"]),
    (DatabaseConfig, "engine", ["mysql", None, [], "PostgreSQL"]),
    (DatabaseConfig, "pool_size", [0, -1, "20", 2.5, True, float("nan")]),
    (DatabaseConfig, "conn_max_age", [-1, "60", float("inf")]),
    (DatabaseConfig, "connect_timeout", [0, None, "5"]),
    (DatabaseConfig, "transaction_pooler", ["off", None, 0]),
    (CacheConfig, "backend", ["memcached", "", None, {}]),
    (CacheConfig, "host", ["", None]),
    (CacheConfig, "port", [0, 10**9, "6379", None]),
    (CacheConfig, "number", [-1, None, "0"]),
    (CacheConfig, "ttl_default", [-1, "300", float("nan"), True]),
    (CacheConfig, "tls", ["on", None]),
    (SecurityConfig, "debug", ["off", None, 1]),
    (SecurityConfig, "allowed_hosts", ["example.com", ["a"], ("",), (7,), None]),
    (SecurityConfig, "hsts_seconds", [-1, "3600", None]),
]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [(kind, field, value) for kind, field, values in BAD for value in values],
)
def test_bad_values_are_named(kind: Any, field: str, value: Any) -> None:
    """The error names the field and the value, and is one that Django knows as well."""
    given = {"secret_key": KEY} if kind is SecurityConfig else {}
    with pytest.raises(ConfigurationError) as caught:
        kind(**given, **{field: value})
    assert list(caught.value.details) == [field]
    assert repr(value) in caught.value.message
    assert isinstance(caught.value, ImproperlyConfigured)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (DatabaseConfig, "password", b"hunter2"),
        (DatabaseConfig, "options", "sslpassword=hunter2"),
        (DatabaseConfig, "options", None),
        (CacheConfig, "password", b"hunter2"),
        (CacheConfig, "url", "http://:hunter2@h"),
        (SecurityConfig, "secret_key", b"hunter2"),
    ],
)
def test_bad_secrets_are_not_repeated(kind: Any, field: str, value: Any) -> None:
    """Of a secret only the field is named."""
    with pytest.raises(ConfigurationError, match=field) as caught:
        kind(**{field: value})
    assert "hunter2" not in str(caught.value.to_dict())


def test_all_bad_values_at_once() -> None:
    """One error names every bad field."""
    with pytest.raises(ConfigurationError) as caught:
        DatabaseConfig(port=0, database="", pool_size=0)
    assert sorted(caught.value.details) == ["database", "pool_size", "port"]


class TestDatabaseConfig:
    """Towards `DATABASES`."""

    def test_postgresql(self) -> None:
        """Connections are kept, checked and bounded in time."""
        config = DatabaseConfig(host="h", database="a", user="u", password="p", port=6543)
        assert config.to_django() == {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "a",
            "USER": "u",
            "PASSWORD": "p",
            "HOST": "h",
            "PORT": 6543,
            "DISABLE_SERVER_SIDE_CURSORS": False,
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {"connect_timeout": 5},
        }

    def test_behind_a_pooler_that_mixes_sessions(self) -> None:
        """Nothing is prepared and no cursor stays open between transactions."""
        setting = DatabaseConfig(transaction_pooler=True).to_django()
        assert setting["DISABLE_SERVER_SIDE_CURSORS"] is True
        assert "prepare_threshold" not in setting["OPTIONS"]  # Django then prepares nothing

    def test_a_pool(self) -> None:
        """A pool is psycopg's, and keeps connections instead of Django."""
        setting = DatabaseConfig(pool_size=20).to_django()
        assert setting["OPTIONS"]["pool"] == {"min_size": 1, "max_size": 20}
        assert setting["CONN_MAX_AGE"] == 0

    def test_sqlite(self, tmp_path: Path) -> None:
        """A file with WAL and full durability; a pool means nothing to it."""
        config = DatabaseConfig(engine="sqlite", database=str(tmp_path / "a b.db"), pool_size=20)
        setting = config.to_django()
        assert setting["NAME"] == str(tmp_path / "a b.db")
        assert "synchronous=FULL" in setting["OPTIONS"]["init_command"]
        assert "pool" not in setting["OPTIONS"]
        assert DatabaseConfig.in_file(Path("x.db")).database == str(Path.cwd() / "x.db")

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("postgres://h/a", {"HOST": "h", "PORT": "", "NAME": "a", "USER": ""}),
            (
                "postgresql://u:12345@h:1/a?sslmode=require&atomic_requests=True",
                {"PASSWORD": "12345", "PORT": 1, "ATOMIC_REQUESTS": True},
            ),
            ("postgres://a:1,b:2/x", {"HOST": "a,b", "PORT": "1,2"}),
            ("postgres://%2Fvar%2Frun/x", {"HOST": "/var/run", "NAME": "x"}),
            ("sqlite:////srv/x.db", {"NAME": "/srv/x.db"}),
        ],
    )
    def test_from_a_url(self, url: str, expected: dict[str, Any]) -> None:
        """Lists of hosts, sockets, options for the driver and for Django come through."""
        setting = DatabaseConfig.from_url(url, connect_timeout=9).to_django()
        assert expected.items() <= setting.items()
        if "sslmode" in url:
            assert setting["OPTIONS"]["sslmode"] == "require"
            assert setting["OPTIONS"]["connect_timeout"] == 9

    @pytest.mark.parametrize(
        "url", ["", "foo", "postgres://h", "mysql://h/a", "postgres://h:x/a", "redis://h", None, 7]
    )
    def test_a_bad_url(self, url: Any) -> None:
        """What cannot be used is refused with an example of what can."""
        with pytest.raises(ConfigurationError, match="postgresql://user:password@host"):
            DatabaseConfig.from_url(url)

    def test_a_password_with_a_slash_is_refused(self) -> None:
        """Its end is not taken for the name of the database, which is shown."""
        with pytest.raises(ConfigurationError) as caught:
            DatabaseConfig.from_url("postgresql://user:123/hunter2@db.example.com:5432/app")
        assert "hunter2" not in str(caught.value)
        assert DatabaseConfig.from_url("sqlite:////tmp/a@b.sqlite3").database == "/tmp/a@b.sqlite3"

    def test_a_bad_url_is_not_repeated(self) -> None:
        """A URL may hold a password."""
        with pytest.raises(ConfigurationError) as caught:
            DatabaseConfig.from_url("postgres://u:hunter2@h:99999/a")
        assert "hunter2" not in str(caught.value)

    def test_from_the_environment(self) -> None:
        """Each variable has its field; without a URL it is SQLite in VAR_DIR."""
        variables = {
            "DATABASE_URL": "postgres://h/a",
            "DATABASE_CONN_MAX_AGE": "7",
            "DATABASE_CONNECT_TIMEOUT": "8",
            "DATABASE_POOL_SIZE": "9",
            "DATABASE_TRANSACTION_POOLER": "on",
        }
        config = DatabaseConfig.from_environment(Environment(variables))
        assert (config.conn_max_age, config.connect_timeout, config.pool_size) == (7, 8, 9)
        assert config.transaction_pooler is True
        fallback = DatabaseConfig.from_environment(Environment({"VAR_DIR": "/srv"}))
        assert (fallback.engine, fallback.database) == ("sqlite", "/srv/db.sqlite3")

    def test_a_reader_collects_problems(self) -> None:
        """With a reader nothing raises: the default stands in and the problem is kept."""
        reader = Environment({"DATABASE_URL": "foo"})
        default = DatabaseConfig(database="other")
        assert DatabaseConfig.from_environment(reader, default=default) is default
        assert [problem.name for problem in reader.problems] == ["DATABASE_URL"]

    @pytest.mark.postgres
    @pytest.mark.django_db
    def test_a_pool_connects(self) -> None:
        """Django takes the setting as it is, and gets its connections from the pool."""
        now = connections["default"].settings_dict
        config = DatabaseConfig(
            host=now["HOST"],
            port=now["PORT"],
            database=now["NAME"],
            user=now["USER"],
            password=now["PASSWORD"],
            pool_size=2,
        )
        pooled = connections.create_connection("default")
        pooled.settings_dict = {**now, **config.to_django()}
        pooled.alias = "pooled"
        try:
            with pooled.cursor() as cursor:
                cursor.execute("SELECT 1")
                assert cursor.fetchone() == (1,)
            assert pooled.pool.max_size == 2
        finally:
            pooled.close()
            pooled.close_pool()


class TestCacheConfig:
    """Towards `CACHES`."""

    @pytest.mark.parametrize(
        ("config", "location"),
        [
            (CacheConfig(), "redis://localhost:6379/0"),
            (CacheConfig(password="p@/w", number=2), "redis://:p%40%2Fw@localhost:6379/2"),
            (CacheConfig(host="::1", tls=True), "rediss://[::1]:6379/0"),
            (CacheConfig(url="unix:///tmp/r.sock?db=1"), "unix:///tmp/r.sock?db=1"),
            (CacheConfig(backend="memory"), ""),
        ],
    )
    def test_the_address(self, config: CacheConfig, location: str) -> None:
        """Host, port, number and password make the address that redis-py takes."""
        assert config.location == location
        assert config.to_django().get("LOCATION", "") == location

    def test_redis(self) -> None:
        """A cache that is down costs a request next to nothing."""
        setting = CacheConfig(ttl_default=None).to_django()
        assert setting["BACKEND"] == "django.core.cache.backends.redis.RedisCache"
        assert setting["TIMEOUT"] is None
        assert setting["OPTIONS"]["socket_timeout"] == 1

    @pytest.mark.parametrize("kind", ["redis", "memory"])
    def test_django_takes_it(self, kind: str, request: pytest.FixtureRequest) -> None:
        """What is set through the setting is there."""
        if kind == "redis":
            config = CacheConfig(url=request.getfixturevalue("redis_url"))
        else:
            config = CacheConfig(backend="memory", ttl_default=30)
        with override_settings(CACHES={"default": config.to_django()}):
            caches["default"].set("config-classes", [1])
            assert caches["default"].get("config-classes") == [1]
            caches["default"].delete("config-classes")

    def test_from_the_environment(self) -> None:
        """`REDIS_URL`, or memory without it; a bad one is named and not repeated."""
        config = CacheConfig.from_environment(Environment({"REDIS_URL": "redis://h/1"}))
        assert config.location == "redis://h/1"
        assert CacheConfig.from_environment(Environment({})).backend == "memory"
        reader = Environment({"REDIS_URL": "reddis://:hunter2@h"})
        assert CacheConfig.from_environment(reader).backend == "memory"
        assert [problem.name for problem in reader.problems] == ["REDIS_URL"]
        assert "hunter2" not in str(reader.problems)


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process that sets none of the variables."""
    for name in ("SECRET_KEY", "DEBUG", "REDIS_URL", "HTTPS", "ALLOWED_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


class TestSecurityConfig:
    """Towards the security settings."""

    def test_a_deployment(self) -> None:
        """Whoever sets SECRET_KEY deploys: no debug pages, and HTTPS all through."""
        reader = Environment({"SECRET_KEY": KEY, "ALLOWED_HOSTS": "a.example, b.example"})
        setting = SecurityConfig.from_environment(reader).to_django()
        assert setting["DEBUG"] is False
        assert setting["SECRET_KEY"] == KEY
        assert setting["ALLOWED_HOSTS"][:2] == ["a.example", "b.example"]
        assert setting["SECURE_SSL_REDIRECT"]
        assert setting["SESSION_COOKIE_SECURE"]
        assert setting["SECURE_HSTS_SECONDS"] == 3600
        assert setting["SECURE_PROXY_SSL_HEADER"] is None

    def test_a_developers_machine(self) -> None:
        """Without variables there are debug pages, no HTTPS, and a key of the machine's own."""
        config = SecurityConfig.from_environment(Environment({}), development_key=lambda: KEY)
        assert (config.debug, config.https, config.secret_key) == (True, False, KEY)
        assert config.to_django()["SECURE_HSTS_SECONDS"] == 0

    def test_behind_a_proxy(self) -> None:
        """The proxy's word on HTTPS counts only when it was said to be trusted."""
        setting = SecurityConfig(secret_key=KEY, trust_proxy=True).to_django()
        assert setting["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")

    def test_a_deployment_without_a_key(self, no_variables: pytest.MonkeyPatch) -> None:
        """With DEBUG off a key is required; of this process, that is an error at once."""
        no_variables.setenv("DEBUG", "off")
        with pytest.raises(ConfigurationError) as caught:
            SecurityConfig.from_environment()
        assert list(caught.value.details) == ["SECRET_KEY"]

    def test_of_this_process(self, no_variables: pytest.MonkeyPatch) -> None:
        """Without a reader the variables of the process count."""
        no_variables.setenv("SECRET_KEY", KEY)
        assert SecurityConfig.from_environment().secret_key == KEY
        no_variables.setenv("REDIS_URL", "redis://h/3")
        assert CacheConfig.from_environment().location == "redis://h/3"
        no_variables.setenv("REDIS_URL", "http://h")
        with pytest.raises(ConfigurationError, match="REDIS_URL"):
            CacheConfig.from_environment()
