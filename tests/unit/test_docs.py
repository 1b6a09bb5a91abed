"""The examples in the documentation run as they stand."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.core.events.wiring import fresh_wiring

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"# (?P<path>[\w/]+)\.py\b")

PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if BLOCK.search(page.read_text())
]


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    modules = set(sys.modules)
    with fresh_wiring():
        yield
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] == "shop":
            del sys.modules[name]


def _run(code: str, name: str, namespace: dict[str, object]) -> None:
    exec(compile(code, name, "exec", dont_inherit=True), namespace)


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_run(page: Path) -> None:
    """Every Python example of a page runs, in order; one that names its file becomes a module."""
    namespace: dict[str, object] = {"__name__": "docs"}
    for number, block in enumerate(BLOCK.finditer(page.read_text()), start=1):
        code, name = block["code"], f"{page.name}, example {number}"
        named = MODULE.match(code)
        _run(code, name, namespace)
        if named:
            module = ModuleType(named["path"].replace("/", "."))
            vars(module).update(namespace, __name__=module.__name__)
            package, _, _ = module.__name__.partition(".")
            sys.modules.setdefault(package, ModuleType(package))
            sys.modules[module.__name__] = module
