"""The engines that owe what this suite says; a third one is one more entry in ENGINES."""

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest
from support.clock import HandClock
from support.outbox_harness import OutboxHarness

from forwarder.outbox import Outbox
from forwarder.settings import Database, OutboxPlace

ENGINES = ["sqlite", "postgresql"]


@pytest.fixture(params=ENGINES)
def new_place(
    request: pytest.FixtureRequest, tmp_path: Path, new_database: Callable[[], Database]
) -> Callable[[], OutboxPlace]:
    """Makes places for outboxes, on each of the engines."""
    numbers = count(1)

    def new_file() -> Path:
        return tmp_path / f"outbox-{next(numbers)}.db"

    return new_file if request.param == "sqlite" else new_database


@pytest.fixture
def place(new_place: Callable[[], OutboxPlace]) -> OutboxPlace:
    return new_place()


@pytest.fixture
async def harness(place: OutboxPlace) -> AsyncIterator[OutboxHarness]:
    harness = OutboxHarness(place, HandClock())
    yield harness
    await harness.kill()


@pytest.fixture
async def another_harness(
    new_place: Callable[[], OutboxPlace],
) -> AsyncIterator[OutboxHarness]:
    """On the same engine, and empty."""
    harness = OutboxHarness(new_place(), HandClock())
    yield harness
    await harness.kill()


@pytest.fixture
async def outbox(harness: OutboxHarness) -> Outbox:
    return harness.open()


@pytest.fixture
def clock(harness: OutboxHarness) -> HandClock:
    return harness.clock
