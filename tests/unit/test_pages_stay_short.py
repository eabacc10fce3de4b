"""The pages stay short: a limit for each and for all, prose that fits a window, and a head that says who it is for."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
USUAL = 800
LIMITS = {
    "README.md": 850,
    "architecture.md": 1700,
    "delivery.md": 1850,
    "deploy.md": 1500,
    "events.md": 1900,
    "notices.md": 850,
    "operating.md": 7000,
    "performance.md": 1000,
    "receiving.md": 1600,
    "reliability.md": 1000,
    "routing.md": 1750,
    "scaling.md": 850,
    "security.md": 1550,
}
"""Of pages that are allowed more than the usual words, or are held to a figure of their own."""
ALL = 26_400
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
