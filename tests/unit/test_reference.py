"""The reference in docs/reference says what the docstrings say."""

from docs.reference import generate


def test_the_reference_is_up_to_date() -> None:
    """Each page is what would be written now, none is missing and none is left over."""
    wanted = generate.pages()
    found = {page.name: page.read_text() for page in generate.HERE.glob("*.md")}
    stale = {name for name in {*wanted, *found} if wanted.get(name) != found.get(name)}
    assert not stale, f"run `make reference`, which writes {', '.join(sorted(stale))} anew"
