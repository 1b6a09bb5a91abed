"""Everything has one home, and `core` hands it out on first use."""

import re
import subprocess
import sys
from importlib import import_module

import pytest

import core
from config.settings.environment import BASE_DIR

HANDBOOK = [
    "AlreadyExistsError",
    "AsyncRepository",
    "AuditMixin",
    "AuthenticationError",
    "AuthorizationError",
    "BaseModel",
    "BaseRepository",
    "BusinessRuleError",
    "CacheConfig",
    "DBBaseModel",
    "DatabaseConfig",
    "DatabaseError",
    "DotMacError",
    "NotFoundError",
    "PydanticBaseModel",
    "SecurityConfig",
    "ServiceError",
    "TableNamingMixin",
    "TenantBaseModel",
    "TenantContext",
    "TenantError",
    "TenantMixin",
    "TimestampMixin",
    "TransactionManager",
    "UUIDMixin",
    "ValidationError",
    "get_current_tenant",
    "is_database_available",
    "is_schemas_available",
    "require_current_tenant",
    "require_database",
    "require_schemas",
    "retry_on_failure",
    "set_current_tenant",
    "standard_exception_handler",
    "timeout",
]


def run(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={"PYTHONPATH": str(BASE_DIR), **environment},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("name", HANDBOOK)
def test_the_handbook_names_are_there(name: str) -> None:
    """`from core import X` works for every name of the handbook."""
    assert getattr(core, name) is not None


@pytest.mark.parametrize(("home", "names"), core._HOMES.items())
def test_a_name_is_the_object_of_its_home(home: str, names: list[str]) -> None:
    """There is one object under both paths, and the table is in order."""
    assert all(getattr(core, name) is getattr(import_module(home), name) for name in names)
    assert names == sorted(names)
    assert set(names) <= set(dir(core))


def test_type_checkers_see_the_same_names() -> None:
    """The imports for type checkers are those of the table."""
    source = (BASE_DIR / "core" / "__init__.py").read_text()
    seen = re.findall(r"^    from (\S+) import (\w+) as (\w+)$", source, re.MULTILINE)
    assert {(home, name) for home, name, _ in seen} == {
        (home, name) for home, names in core._HOMES.items() for name in names
    }
    assert all(name == alias for _, name, alias in seen)


def test_an_unknown_name() -> None:
    """A name that is not there is an ImportError, as from any module."""
    with pytest.raises(ImportError, match="NoSuchName"):
        from core import NoSuchName  # type: ignore[attr-defined]  # that is the point # noqa: F401


def test_importing_core_needs_nothing() -> None:
    """`import core` works without settings, without optional packages, and loads no Django."""
    script = (
        "import sys\n"
        "for name in ('rest_framework', 'pydantic', 'psycopg'): sys.modules[name] = None\n"
        "import core\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] == 'django'))"
    )
    done = run(script)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(
    "process",
    [
        "import config.wsgi",
        "from config.celery import app; app.loader.import_default_modules()",
        "import django; django.setup()",
    ],
    ids=["web", "worker and beat", "shell"],
)
def test_every_process_imports_the_same(process: str, tmp_path: object) -> None:
    """Web, worker, beat and shell use plain imports of the same modules."""
    script = (
        f"{process}\n"
        "from core import BaseModel, DBBaseModel, NotFoundError\n"
        "from core.models import BaseModel as Again, PlatformFeeConfig\n"
        "print(BaseModel is Again, PlatformFeeConfig._meta.label)"
    )
    done = run(
        script,
        DJANGO_SETTINGS_MODULE="config.settings",
        ENV_FILE="/dev/null",
        VAR_DIR=str(tmp_path),
    )
    assert done.stdout.strip() == "True core.PlatformFeeConfig", done.stderr


def test_httpx_is_left_to_who_needs_it(tmp_path: object) -> None:
    """A process that uses no AsyncHTTPClient does not import httpx; the class is had as ever."""
    script = (
        "import django, pickle, sys\n"
        "django.setup()\n"
        "import core.clients\n"
        "print('httpx' in sys.modules)\n"
        "from core.clients import AsyncHTTPClient\n"
        "print(pickle.loads(pickle.dumps(AsyncHTTPClient)) is core.clients.AsyncHTTPClient)\n"
        "print(hasattr(core.clients, 'NoSuchName'))"
    )
    done = run(
        script,
        DJANGO_SETTINGS_MODULE="config.settings",
        ENV_FILE="/dev/null",
        VAR_DIR=str(tmp_path),
    )
    assert done.stdout.split() == ["False", "True", "False"], done.stderr


@pytest.mark.parametrize("package", ["jwt", "posthog"])
def test_a_package_is_left_to_who_needs_it(package: str, tmp_path: object) -> None:
    """What takes a while to import is not imported for the sake of a check or a worker's task."""
    done = run(
        f"import django, sys; django.setup(); print({package!r} in sys.modules)",
        DJANGO_SETTINGS_MODULE="config.settings",
        ENV_FILE="/dev/null",
        VAR_DIR=str(tmp_path),
    )
    assert done.stdout.split() == ["False"], done.stderr


def test_a_broken_part_stops_the_process() -> None:
    """Nothing stands in for shared code that cannot be imported: the ImportError comes through."""
    script = "import sys; sys.modules['core.exceptions'] = None\nfrom core import NotFoundError"
    done = run(script)
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert "core.exceptions" in done.stderr
