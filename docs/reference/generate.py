"""Writes the pages beside it from docstrings: `make reference`.

A module is public when `core` exports names of it, or when an example imports from it: the pages
of the documentation and the apps in `examples/`. So a new module is found by being used.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import griffe
from griffe2md import default_config, prepare_context, prepare_env

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGES = ("core", "workers")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Anchors of a site that this is not.
LINK = re.compile(r"\[([^\]]+)\]\(#[^)]*\)")
FENCE = re.compile(r"^```python$", re.MULTILINE)
NOTE = "<!-- Written by `make reference` from the docstrings; edit those. -->"
CONFIG = {
    **default_config,
    "docstring_options": {"warnings": False},
    "inherited_members": False,
    "line_length": 100,
    "members_order": "source",
    "show_if_no_docstring": False,
    "show_object_full_path": False,
    "show_root_full_path": False,
    "show_root_members_full_path": False,
    "show_signature_annotations": True,
    "summary": False,
}
# Compiled once for all members; `griffe2md.render_object_docs` does so for each.
TEMPLATES = prepare_env()


@dataclass
class Module:
    """A public module, and the names that others are known to take from it."""

    path: str
    used: set[str] = field(default_factory=set)


def pages() -> dict[str, str]:
    """Return the text of every page by its file name."""
    loader = griffe.GriffeLoader(
        search_paths=[ROOT], docstring_parser=griffe.Parser.google, allow_inspection=False
    )
    for package in PACKAGES:
        loader.load(package)
    loader.resolve_aliases()
    found, modules = loader.modules_collection, _public()
    written = {f"{each.path}.md": _page(found, each) for each in modules}
    return {"README.md": _index(found, modules), **written}


def _public() -> list[Module]:
    found: dict[str, Module] = {}
    for path, name in chain(_exported(), *map(_imported, _examples())):
        found.setdefault(path, Module(path)).used.add(name)
    return [found[path] for path in sorted(found)]


def _exported() -> Iterator[tuple[str, str]]:
    """Yield the names that `core` loads on first use, with the modules that they come from."""
    tree = ast.parse((ROOT / "core" / "__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            for path, names in ast.literal_eval(node.value).items():
                yield from ((path, name) for name in names)


def _examples() -> Iterator[str]:
    """Yield the source of every example."""
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        yield from BLOCK.findall(page.read_text())
    for source in sorted((ROOT / "examples").rglob("*.py")):
        if "migrations" not in source.parts and not source.name.startswith("test_"):
            yield source.read_text()


def _imported(source: str) -> Iterator[tuple[str, str]]:
    """Yield what an example takes from the public packages."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            package = node.module.partition(".")[0]
            if package in PACKAGES and node.module not in PACKAGES:
                yield from ((node.module, alias.name) for alias in node.names)


def _page(collection: griffe.ModulesCollection, module: Module) -> str:
    found = collection[module.path]
    parts = [f"# {module.path}", NOTE, _docstring(found)]
    parts += [_entry(member) for member in _members(found, module.used)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _members(found: griffe.Object, used: set[str]) -> Iterator[griffe.Object]:
    """Yield what is documented: what is defined here, or exported, or used from here."""
    for name, member in found.members.items():
        shown = not member.is_alias or name in used or name in (found.exports or ())
        if not shown or name.startswith("_"):
            continue
        try:
            target = member.final_target if isinstance(member, griffe.Alias) else member
        except griffe.AliasResolutionError:
            continue  # it comes from another library, which documents it
        if not target.is_module and (target.docstring or name in used):
            yield target


def _entry(member: griffe.Object) -> str:
    template = TEMPLATES.get_template(f"{member.kind.value}.md.jinja")
    text = template.render(**prepare_context(member, dict(CONFIG))).strip()
    # "py" is shown as Python, but is no example that the tests run.
    return FENCE.sub("```py", LINK.sub(r"\1", text))


def _index(collection: griffe.ModulesCollection, modules: Iterable[Module]) -> str:
    lines = [
        f"- [{each.path}]({each.path}.md): {_summary(collection[each.path])}" for each in modules
    ]
    return "\n\n".join(["# Reference", NOTE, "\n".join(lines)]) + "\n"


def _docstring(found: griffe.Object) -> str:
    return found.docstring.value if found.docstring else ""


def _summary(found: griffe.Object) -> str:
    return _docstring(found).partition("\n")[0]


def main() -> None:
    """Write the pages; delete those of modules that are gone."""
    texts = pages()
    for old in HERE.glob("*.md"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
