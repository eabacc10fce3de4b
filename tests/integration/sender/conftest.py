import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop
from support.posting import sending

from forwarder.sender import Sender


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here runs on both event loops: asyncio's own, and the one of production."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with sending() as opened:
        yield opened
