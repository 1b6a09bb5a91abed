"""Environment variables become typed values, and everything wrong with them is reported."""

import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.settings.environment import BASE_DIR, Environment, env, local_secret
from config.stack.options import Options


def environment(**values: str) -> Environment:
    return Environment(values)


def check(**values: str) -> "subprocess.CompletedProcess[str]":
    """Run `manage.py check` in a fresh process with these variables."""
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, **values},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("value", ["on", "TRUE", "1", " yes "])
def test_flags_are_on(value: str) -> None:
    """A flag understands the usual words for yes."""
    assert environment(F=value).flag("F", False) is True


@pytest.mark.parametrize("value", ["off", "False", "0", "no"])
def test_flags_are_off(value: str) -> None:
    """A flag understands the usual words for no."""
    assert environment(F=value).flag("F", True) is False


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("flag", "offf"),
        ("integer", "ten"),
        ("integer", "-1"),
        ("integer", "1.5"),
        ("seconds", "nan"),
        ("seconds", "inf"),
        ("seconds", "-0.1"),
    ],
)
def test_a_bad_value_gives_the_default_and_a_problem(kind: str, value: str) -> None:
    """Nothing raises; the default stands in and the problem names the variable and the value."""
    reader = environment(V=value)
    assert getattr(reader, kind)("V", 7) == 7
    assert [problem.name for problem in reader.problems] == ["V"]
    assert repr(value) in reader.problems[0].message


def test_an_unknown_choice_gets_a_suggestion() -> None:
    """The hint offers the choice that was probably meant."""
    reader = environment(EVENTS_MODE="inlin")
    assert reader.choice("EVENTS_MODE", "celery", ["celery", "inline"]) == "celery"
    assert "'inline'" in reader.problems[0].hint


def test_empty_means_not_set() -> None:
    """A variable that is set to nothing, as compose files do it, has its default."""
    reader = environment(A="", B="  ")
    assert (reader.text("A", "x"), reader.integer("B", 3)) == ("x", 3)
    assert not reader.problems


@pytest.mark.parametrize("url", ["localhost:6379", "redis://h:port/0", "http://h", "redis://[::1"])
def test_a_bad_url_is_reported_without_repeating_it(url: str) -> None:
    """A URL may hold a password, so the problem names the variable only."""
    reader = environment(REDIS_URL=url)
    assert reader.url("REDIS_URL", "", schemes=["redis"]) == ""
    assert url not in str(reader.problems[0])


def test_a_misspelt_variable_is_found() -> None:
    """A variable that nobody reads but that looks like one is reported with the right spelling."""
    reader = environment(DATABSE_URL="x", PATH="y")
    reader.text("DATABASE_URL")
    assert [(p.name, p.hint) for p in reader.unknown()] == [("DATABSE_URL", "Meant: DATABASE_URL?")]


def test_env_example_lists_every_variable(tmp_path: Path) -> None:
    """`.env.example` names exactly the variables that are read."""
    reader = environment()
    Options.read(reader, tmp_path)
    listed = re.findall(r"^([A-Z0-9_]+)=", (BASE_DIR / ".env.example").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(env.names | reader.names)


def test_env_example_works_as_it_is(tmp_path: Path) -> None:
    """A copy of `.env.example` is a valid `.env`."""
    done = check(ENV_FILE=str(BASE_DIR / ".env.example"), VAR_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_check_names_every_bad_variable_at_once(tmp_path: Path) -> None:
    """`manage.py check` reports each bad variable by name, without a traceback."""
    done = check(
        VAR_DIR=str(tmp_path),
        DEBUG="off",
        DATABASE_URL="postgres://user:hunter2@",
        REDIS_URL="reddis://x",
        CELERY_BROKER_URL="kafka://x",
        EVENTS_MODE="inlin",
        EVENTS_RETENTION_DAYS="-4",
        LOG_LEVEL="LOUD",
        CELERY_WORKER_CONCURRENCY="0",
    )
    assert done.returncode == 1
    for name in (
        *("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "EVENTS_MODE"),
        *("EVENTS_RETENTION_DAYS", "LOG_LEVEL", "CELERY_WORKER_CONCURRENCY"),
    ):
        assert f"{name}: (config.E001)" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"CELERY_BROKER_URL": "redis://h/0"}, "REDIS_URL: (config.W002)"),
        ({"REDIS_URL": "redis://h/1"}, "CELERY_BROKER_URL: (config.W003)"),
        ({"REDIS_URL": "redis://h/1", "CELERY_BROKER_URL": "redis://h/0"}, ""),
        ({}, ""),
    ],
)
def test_cache_and_broker_fit_together(
    values: dict[str, str], finding: str, tmp_path: Path
) -> None:
    """A cache that processes do not share, or that shares with the broker, is pointed out."""
    done = check(VAR_DIR=str(tmp_path), **values)
    assert done.returncode == 0
    assert finding in done.stderr
    assert ("W00" in done.stderr) is bool(finding)


@pytest.mark.parametrize(
    "command",
    [["-c", "import config.wsgi"], ["-m", "celery", "-A", "config.celery", "beat"]],
    ids=["web", "beat"],
)
def test_no_process_starts_on_a_guess(command: list[str], tmp_path: Path) -> None:
    """A process that serves or works refuses a bad environment instead of using a default."""
    done = subprocess.run(
        [sys.executable, *command],
        env={"PATH": os.environ["PATH"], "ENV_FILE": os.devnull}
        | {"VAR_DIR": str(tmp_path), "DATABASE_URL": "foo"},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "DATABASE_URL" in done.stderr


def test_a_deployment_has_no_debug_pages_by_accident(tmp_path: Path) -> None:
    """Setting SECRET_KEY switches DEBUG off unless it is asked for."""
    script = "from django.conf import settings; print(settings.DEBUG)"
    for values, expected in ({"SECRET_KEY": "x" * 50}, "False"), ({}, "True"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"ENV_FILE": os.devnull, "VAR_DIR": str(tmp_path)}
            | {"DJANGO_SETTINGS_MODULE": "config.settings", **values},
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected


def test_a_local_secret_is_private_and_one_for_all(tmp_path: Path) -> None:
    """Processes that start together agree on one secret, which only their user can read."""
    path = tmp_path / "new" / "secret"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: local_secret(path), range(32)))
    assert len(found) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
