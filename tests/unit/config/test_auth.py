"""The environment says which tokens count; what cannot be meant so is named, never shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import auth
from config.settings.environment import BASE_DIR, Environment

SECRET = "correct-horse-battery-staple-0123456789"


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


def test_what_is_good(tmp_path: Path) -> None:
    """A secret, and keys in a file beside it."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"new": {"algorithm": "HS256", "key": SECRET}}))
    done = check(
        JWT_SECRET=SECRET, JWT_KEYS_FILE=str(file), JWT_DEFAULT_KEY="new", VAR_DIR=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr


def test_keys_that_are_too_weak(tmp_path: Path) -> None:
    """Each is named, without the secret."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"weak": {"algorithm": "HS512", "key": SECRET}}))
    done = check(JWT_SECRET=SECRET[:20], JWT_KEYS_FILE=str(file), VAR_DIR=str(tmp_path))
    assert done.returncode != 0
    assert "JWT_KEYS['default']" in done.stderr
    assert "JWT_KEYS['weak']" in done.stderr
    assert SECRET[:20] not in done.stderr


def test_no_file_of_keys(tmp_path: Path) -> None:
    """`manage.py check` fails and names the variable."""
    done = check(JWT_KEYS_FILE=str(tmp_path / "keys.json"), VAR_DIR=str(tmp_path))
    assert done.returncode != 0
    assert "JWT_KEYS_FILE: (config.E001) cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("text", "problem"), [(SECRET, "is not JSON."), (json.dumps([SECRET]), "is not a JSON object.")]
)
def test_a_file_of_something_else(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as no keys, and the variable is reported, without what is in the file."""
    file = tmp_path / "keys.json"
    file.write_text(text)
    environment = Environment({"JWT_KEYS_FILE": str(file)})
    monkeypatch.setattr(auth, "env", environment)
    assert auth._keys("JWT_KEYS_FILE") == {}
    (found,) = environment.problems
    assert (found.name, found.message) == ("JWT_KEYS_FILE", problem)
    assert SECRET[:20] not in found.hint
