"""The engines that owe what this suite says; a second one is one more entry in ENGINES."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clock import HandClock
from support.workshop import Workshop

from forwarder.outbox import Outbox

ENGINES = ["sqlite"]


@pytest.fixture(params=ENGINES)
async def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workshop]:
    shop = Workshop(tmp_path / f"outbox.{request.param}", HandClock())
    yield shop
    await shop.kill()


@pytest.fixture
async def outbox(workshop: Workshop) -> Outbox:
    return workshop.open()


@pytest.fixture
def clock(workshop: Workshop) -> HandClock:
    return workshop.clock
