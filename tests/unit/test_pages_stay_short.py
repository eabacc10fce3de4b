"""The pages stay short: a limit for each and for all, prose that fits a window, and a head that says who it is for."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
USUAL = 800
LIMITS = {
    "README.md": 450,
    "api.md": 830,
    "architecture.md": 980,
    "delivery.md": 1240,
    "deploy.md": 530,
    "events.md": 1150,
    "glossary.md": 350,
    "notices.md": 470,
    "operating.md": 3080,
    "page.md": 620,
    "patterns.md": 180,
    "performance.md": 800,
    "receiving.md": 730,
    "reliability.md": 1130,
    "routing.md": 870,
    "scaling.md": 880,
    "security.md": 510,
    "templates.md": 450,
    "troubleshooting.md": 480,
}
"""What each page has reached, with room where tables are measured; others may have the usual words."""
ALL = 15_000
"""With room for tables that are measured, whose cells are not always as many words."""
WIDEST = 160


def words(page: Path) -> int:
    """What holds a letter or a digit, outside of code; the bars of tables are no words."""
    return sum(any(map(str.isalnum, word)) for word in without_code(page).split())


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_within_its_words(name: str) -> None:
    assert words(PAGES[name]) <= LIMITS.get(name, USUAL)


def test_all_pages_together_are_within_theirs() -> None:
    assert sum(map(words, PAGES.values())) <= ALL


@pytest.mark.parametrize("name", PAGES)
def test_prose_fits_a_window(name: str) -> None:
    """No line outside tables and code is wider."""
    lines = without_code(PAGES[name]).splitlines()
    wide = [line for line in lines if len(line) > WIDEST and " | " not in line]

    assert wide == []


@pytest.mark.parametrize("name", PAGES)
def test_tables_have_no_bars_at_the_ends_of_lines(name: str) -> None:
    """One form in all pages; and each row begins with a cell that is not empty, else its first bar would be dropped."""
    assert re.findall(r"^\s*\|.*", without_code(PAGES[name]), re.MULTILINE) == []


@pytest.mark.parametrize("name", [name for name in PAGES if name != "README.md"])
def test_page_begins_with_whom_it_is_for(name: str) -> None:
    """The first words below the title."""
    text = PAGES[name].read_text()

    assert re.search(r"\A(<!--.*\n\n)?# .+\n\nFor [a-z]", text)


def test_entry_of_the_changelog_is_a_line() -> None:
    """No wider than prose, and none goes on in the next. The first is the title."""
    title, *lines = (ROOT / "CHANGELOG.md").read_text().splitlines()

    assert title == "# Changelog"
    assert [line for line in lines if line.startswith("  ") or len(line) > WIDEST] == []
