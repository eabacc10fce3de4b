"""Each test gets a line of its own; at its end no part may have stumbled, and no secret may have been said."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.line import Line, a_line

_SHOWN_LINES = 60
_STUMBLES = (
    "Traceback",
    "delivery.broke",
    "service.failed",
    "sweep.failed",
    "telling.broke",
    "library.complained",
)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with a_line(tmp_path) as line:
        yield line
    output = line.service.output
    print("\n".join(map(str, line.service.events[-_SHOWN_LINES:])))  # shown when the test fails
    assert [part for part in output.split("\n") if any(word in part for word in _STUMBLES)] == []
    assert [secret for secret in line.secrets if secret in output] == []
