"""Where the settings read from: the process's environment, completed by a file."""

__all__ = ["BASE_DIR", "ENV_FILE", "VAR_DIR", "Environment", "env", "local_secret", "problems"]

import os
import secrets
import tempfile
from pathlib import Path

import environ

from core.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent.parent


def local_secret(path: Path, size: int = 50) -> str:
    """Return the secret kept in a private file, creating it on first use.

    Several processes may start at once: the file appears complete by a link, so all read one value.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent)
        with open(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(size))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    return path.read_text()


ENV_FILE = Path(os.environ.get("ENV_FILE") or BASE_DIR / ".env")
if ENV_FILE.is_file():
    environ.Env.read_env(ENV_FILE)
env = Environment(os.environ)
env.text("ENV_FILE")
problems = env.problems
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var"))).absolute()
