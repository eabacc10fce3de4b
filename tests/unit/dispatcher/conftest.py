"""A desk per test: a dispatcher over a real outbox, answered by hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clock import HandClock
from support.desk import Desk
from support.workshop import Workshop


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    workshop = Workshop(tmp_path / "outbox.db", HandClock())
    desk = Desk(workshop)
    yield desk
    await desk.dispatcher.drain(timeout_seconds=0)
    await workshop.kill()
