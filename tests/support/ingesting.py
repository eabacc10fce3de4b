"""A wait until the left half has worked off all messages."""

import asyncio
from typing import Any

from forwarder.ingest import Ingest


async def drained(ingest: Ingest[Any]) -> None:
    """Return once everything that was received has been acknowledged."""
    while ingest._arrived or ingest._storing:  # noqa: ASYNC110 - nobody is told of it
        await asyncio.sleep(0)
