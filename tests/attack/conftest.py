"""
The attacks: hostile input at every door of the running service, and its readings arrive all the same.

The short form is part of `make test`. `make attack` sets ATTACK=full for all counts, and writes what was tried into
docs/security.md and docs/figures/attacks.md. Everything is bounded, and aims at this machine's loopback or at network
namespaces made here.
"""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.attack import Extent, Tried, table, write_into
from support.line import Line, a_line

_DOCS = Path(__file__).parents[2] / "docs"
_TRIED = pytest.StashKey[list[Tried]]()


@pytest.fixture(scope="session")
def extent() -> Extent:
    """How much is tried."""
    return "full" if os.environ.get("ATTACK") == "full" else "short"


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Iterator[list[Tried]]:
    """Where a test notes what it has tried, once that has held."""
    noted: list[Tried] = []
    yield noted
    request.config.stash.setdefault(_TRIED, []).extend(noted)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with a_line(tmp_path) as line:
        yield line


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Say what was tried; the full form, when all of it held, also writes it into the page."""
    noted = config.stash.get(_TRIED, [])
    if not noted:
        return
    terminalreporter.section("attacks that were held off")
    terminalreporter.write_line(table(noted))
    if os.environ.get("ATTACK") == "full" and exitstatus == 0:
        is_whole = not config.option.keyword and config.args == ["tests/attack"]
        write_into(_DOCS / "security.md", _DOCS / "figures/attacks.md", noted, is_whole=is_whole)
