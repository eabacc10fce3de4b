"""The pages stay short: a limit for each and for all, prose that fits a window, and a head that says who it is for."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
RECIPES = sorted((ROOT / "docs" / "recipes").glob("*.md"))
OF_DOCS = [*(page for name, page in PAGES.items() if name != "README.md"), *RECIPES]
USUAL = 800
LIMITS = {
    "README.md": 590,
    "api.md": 840,
    "architecture.md": 1065,
    "delivery.md": 1305,
    "deploy.md": 825,
    "events.md": 755,
    "glossary.md": 375,
    "notices.md": 490,
    "operating.md": 2915,
    "page.md": 675,
    "performance.md": 850,
    "receiving.md": 1225,
    "reliability.md": 740,
    "routing.md": 1200,
    "scaling.md": 990,
    "security.md": 525,
    "templates.md": 470,
    "troubleshooting.md": 490,
}
"""What each page has reached, with room where tables are measured; others may have the usual words."""
ALL = 16_000
WIDEST = 120
WIDEST_ENTRY = 160
"""Of the changelog."""
WIDEST_CODE = 160
"""Of what readers copy."""


def words(page: Path) -> int:
    """As `wc -w` counts them."""
    return len(page.read_text().split())


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
    """All pages have one form of them."""
    assert re.findall(r"^\s*\|.*", without_code(PAGES[name]), re.MULTILINE) == []


@pytest.mark.parametrize("page", OF_DOCS, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_page_begins_with_whom_it_is_for(page: Path) -> None:
    """The first words below the title; what it answers follows a colon, or in the next sentence."""
    assert re.match(r"# .+\n\nFor [a-z][^.]*[.:]", page.read_text())


@pytest.mark.parametrize("page", RECIPES, ids=lambda page: page.name)
def test_recipe_fits_a_window(page: Path) -> None:
    """Its prose as that of all pages."""
    prose = without_code(page).splitlines()

    assert [line for line in prose if len(line) > WIDEST] == []


@pytest.mark.parametrize("page", [*PAGES.values(), *RECIPES], ids=lambda page: page.name)
def test_code_fits_a_wide_window(page: Path) -> None:
    """No line outside tables is wider."""
    lines = page.read_text().splitlines()

    assert [line for line in lines if len(line) > WIDEST_CODE and " | " not in line] == []


def test_entry_of_the_changelog_is_a_line() -> None:
    """None is wider, and none goes on in the next. The first is the title."""
    title, *lines = (ROOT / "CHANGELOG.md").read_text().splitlines()

    assert title == "# Changelog"
    assert [one for one in lines if one.startswith("  ") or len(one) > WIDEST_ENTRY] == []
