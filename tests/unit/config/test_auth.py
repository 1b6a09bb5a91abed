"""The environment says which tokens count; what cannot be meant so is named, never shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings.environment import BASE_DIR

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


@pytest.mark.parametrize("kind", ["short secret", "no file", "no JSON", "no object", "weak key"])
def test_what_is_bad(kind: str, tmp_path: Path) -> None:
    """It is named, without a secret."""
    file = tmp_path / "keys.json"
    texts = {
        "no JSON": SECRET,
        "no object": json.dumps([SECRET]),
        "weak key": json.dumps({"weak": {"algorithm": "HS512", "key": SECRET}}),
    }
    if kind in texts:
        file.write_text(texts[kind])
    is_secret = kind == "short secret"
    values = {"JWT_SECRET": SECRET[:20]} if is_secret else {"JWT_KEYS_FILE": str(file)}
    done = check(VAR_DIR=str(tmp_path), **values)
    named = {"short secret": "JWT_KEYS['default']", "weak key": "JWT_KEYS['weak']"}
    assert done.returncode != 0
    assert named.get(kind, "JWT_KEYS_FILE") in done.stderr
    assert SECRET[:20] not in done.stderr
