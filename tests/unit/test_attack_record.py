"""The record of attacks: a whole run writes it anew, a part of the suite keeps what it has not tried."""

from pathlib import Path

import pytest
from support.attack import Tried, recorded, write_into

PORT = Tried("HTTP port", "half open, 900 at a time", 31_094, "none missing; p99 5.6 ms")
LOGS = Tried("logs", "stdout: `exec >&-`", 1, "all delivered | nothing said")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    page, record = tmp_path / "security.md", tmp_path / "attacks.md"
    page.write_text(
        "# Security\n<!-- attacks: written by make attack -->\n<!-- /attacks -->\nAfter it.\n"
    )
    write_into(page, record, [PORT, LOGS], is_whole=True)
    return page, record


def test_what_was_written_is_read_again(files: tuple[Path, Path]) -> None:
    """The record says each attack in full."""
    _, record = files
    assert recorded(record.read_text()) == [PORT, LOGS]


def test_a_part_keeps_what_it_has_not_tried(files: tuple[Path, Path]) -> None:
    """An attack that was tried again has its new outcome, the others their last one; the page sums all of them."""
    page, record = files
    again = Tried(PORT.door, PORT.what, 1_000, "p99 4.4 ms")
    write_into(page, record, [again], is_whole=False)
    assert recorded(record.read_text()) == [again, LOGS]
    assert "\nHTTP port | 1 | 1,000\nlogs | 1 | 1\n" in page.read_text()
    assert page.read_text().endswith("After it.\n")


def test_a_whole_run_forgets_what_is_tried_no_more(files: tuple[Path, Path]) -> None:
    """The record of a whole run is of that run alone."""
    page, record = files
    write_into(page, record, [LOGS], is_whole=True)
    assert recorded(record.read_text()) == [LOGS]
