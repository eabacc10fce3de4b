"""An outbox that runs as in the service, and commands that change it from outside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clock import HandClock
from support.letters import OutboxBuilder
from support.workshop import Workshop

from forwarder.outbox.sqlite.file import DirectoryLock


@pytest.fixture
def built(tmp_path: Path) -> OutboxBuilder:
    return OutboxBuilder(tmp_path / "outbox.db")


@pytest.fixture
async def workshop(built: OutboxBuilder) -> AsyncIterator[Workshop]:
    """The service's side of the same file, with its lock on the directory."""
    lock = DirectoryLock(built.path.parent)
    shop = Workshop(built.path, HandClock())
    yield shop
    await shop.kill()
    lock.release()
