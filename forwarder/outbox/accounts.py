"""The outbox's accounts of itself."""

import asyncio
from collections import Counter

from forwarder.outbox.engine import Engine
from forwarder.outbox.records import EndpointTotals, Overview


class Accounts:
    """
    How the outbox stands; what the rows say is read beside the loop.

    All that reads them raises OutboxUnavailable or OutboxDamaged.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.commits = 0
        """The commits of this process that wrote anything."""
        self.enqueued: Counter[str] = Counter()
        """Deliveries put in by this process, by endpoint."""
        self.thinned: Counter[str] = Counter()
        """Readings that it spared endpoints which are owed the last of an interval."""

    @property
    def missing(self) -> int:
        """Readings, at most, that this process had acknowledged and a failover of the database has lost."""
        return self._engine.standing.missing

    @property
    def used_bytes(self) -> int:
        """About what it held at the last commit."""
        return self._engine.standing.used_bytes

    async def log_length(self) -> int:
        """How many deliveries are kept for the delivery log: settled, and no dead letters."""
        return await asyncio.to_thread(self._engine.log_length)

    async def totals(self) -> list[EndpointTotals]:
        """The endpoints' accounts as of the last commit."""
        return await asyncio.to_thread(self._engine.totals)

    def overview(self) -> Overview:
        """All that it holds at this moment, in numbers; from any thread."""
        return self._engine.overview()
