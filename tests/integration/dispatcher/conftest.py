"""A harness per test: a dispatcher over a real outbox, answered by hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clock import HandClock
from support.dispatcher_harness import DispatcherHarness
from support.outbox_harness import OutboxHarness


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DispatcherHarness]:
    outbox_harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    harness = DispatcherHarness(outbox_harness)
    yield harness
    await harness.dispatcher.drain(timeout_seconds=0)
    await outbox_harness.kill()
