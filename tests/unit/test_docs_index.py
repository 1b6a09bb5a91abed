"""The pages of the documentation can be found, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\((?P<target>[^)#:]+)(#[^)]*)?\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def linked(page: Path) -> set[Path]:
    """Return the files and directories that a page links to."""
    text = CODE.sub("", page.read_text())
    return {(page.parent / link["target"]).resolve() for link in LINK.finditer(text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """What a page links to is there."""
    missing = [str(path.relative_to(ROOT)) for path in linked(page) if not path.exists()]
    assert not missing, f"{page.relative_to(ROOT)} links to {', '.join(sorted(missing))}"


def test_every_page_is_in_the_index() -> None:
    """docs/README.md names each page, or the directory that it is in."""
    found = linked(DOCS / "README.md")
    reachable = found | linked(DOCS / "reference" / "README.md")
    pages = set(DOCS.rglob("*.md")) - {DOCS / "README.md"}
    lost = [page for page in pages if not {page, page.parent} & reachable]
    names = ", ".join(sorted(str(page.relative_to(DOCS)) for page in lost))
    assert not lost, f"docs/README.md leaves out {names}"
