"""An outbox that runs as in the service, and commands that change it from outside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clock import HandClock
from support.outbox_builder import OutboxBuilder
from support.outbox_harness import OutboxHarness

from forwarder.outbox.sqlite.file import DirectoryLock


@pytest.fixture
def built(tmp_path: Path) -> OutboxBuilder:
    return OutboxBuilder(tmp_path / "outbox.db")


@pytest.fixture
async def harness(built: OutboxBuilder) -> AsyncIterator[OutboxHarness]:
    """The service's side of the same file, with its lock on the directory."""
    lock = DirectoryLock(built.path)
    harness = OutboxHarness(built.path, HandClock())
    yield harness
    await harness.kill()
    lock.release()
