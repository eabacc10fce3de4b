"""The pages stay short: a limit for each and for all, prose that fits a window, and a head that says who it is for."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
USUAL = 800
LIMITS = {
    "README.md": 580,
    "architecture.md": 1120,
    "delivery.md": 1260,
    "deploy.md": 850,
    "events.md": 1210,
    "glossary.md": 370,
    "notices.md": 510,
    "operating.md": 3430,
    "patterns.md": 270,
    "performance.md": 1000,
    "receiving.md": 1160,
    "routing.md": 1120,
    "scaling.md": 850,
    "security.md": 600,
    "templates.md": 450,
    "troubleshooting.md": 520,
}
"""What each page has reached, with room where tables are measured; others may have the usual words."""
ALL = 17_000
"""With room for tables that are measured, whose cells are not always as many words."""
WIDEST = 160


def words(page: Path) -> int:
    """What holds a letter or a digit; the bars of tables are no words."""
    return sum(any(map(str.isalnum, word)) for word in page.read_text().split())


@pytest.mark.parametrize("name", PAGES)
def test_page_is_within_its_words(name: str) -> None:
    assert words(PAGES[name]) <= LIMITS.get(name, USUAL)


def test_all_pages_together_are_within_theirs() -> None:
    assert sum(map(words, PAGES.values())) <= ALL


@pytest.mark.parametrize("name", PAGES)
def test_prose_fits_a_window(name: str) -> None:
    """No line outside tables and code is wider."""
    prose = re.sub(r"^```.*?^```$", "", PAGES[name].read_text(), flags=re.MULTILINE | re.DOTALL)
    wide = [line for line in prose.splitlines() if len(line) > WIDEST and not line.startswith("|")]

    assert wide == []


@pytest.mark.parametrize("name", [name for name in PAGES if name != "README.md"])
def test_page_begins_with_whom_it_is_for(name: str) -> None:
    """The first words below the title."""
    text = PAGES[name].read_text()

    assert re.search(r"\A(<!--.*\n\n)?# .+\n\nFor [a-z]", text)


def test_entry_of_the_changelog_is_a_line() -> None:
    """No wider than prose, and none goes on in the next."""
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()

    assert [line for line in lines if line.startswith("  ") or len(line) > WIDEST] == []
