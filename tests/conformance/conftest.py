"""The engines that owe what this suite says; a second one is one more entry in ENGINES."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clock import HandClock
from support.outbox_harness import OutboxHarness

from forwarder.outbox import Outbox

ENGINES = ["sqlite"]


@pytest.fixture(params=ENGINES)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OutboxHarness]:
    harness = OutboxHarness(tmp_path / f"outbox.{request.param}", HandClock())
    yield harness
    await harness.kill()


@pytest.fixture
async def outbox(harness: OutboxHarness) -> Outbox:
    return harness.open()


@pytest.fixture
def clock(harness: OutboxHarness) -> HandClock:
    return harness.clock
