"""Whoever follows CONTRIBUTING.md finds the files that it sends them to."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
NAMED = re.findall(r"`((?:forwarder|tests|docs|chaos|\.github|\.ci)/[\w./-]+)`", PAGE)


@pytest.mark.parametrize("path", sorted(set(NAMED)))
def test_file_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_each_way_takes_ten_lines_at_most() -> None:
    """An endpoint setting, a format, an engine."""
    ways = re.findall(r"^## Add .*?\n\n(.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)

    assert len(ways) == 3
    assert all(len(way.splitlines()) <= 10 for way in ways)


def test_workflow_that_never_ran_says_so() -> None:
    (path,) = (ROOT / ".github/workflows").glob("*.yml")

    assert path.read_text().startswith("# Not yet run.")
    assert "release" in yaml.safe_load(path.read_text())["jobs"]
