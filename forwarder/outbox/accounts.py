"""Accounts: how the outbox stands."""

import asyncio
from collections import Counter

from forwarder.outbox.engine import Engine
from forwarder.outbox.records import EndpointTotals, Overview


class Accounts:
    """
    The outbox's accounts. Threads of the pool read what rows say, so no account delays the line.

    Every method that reads rows raises OutboxUnavailable or OutboxDamaged.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.commits = 0
        """The commits of this process that wrote anything."""
        self.enqueued: Counter[str] = Counter()
        """Deliveries that this process has put, by endpoint."""
        self.thinned: Counter[str] = Counter()
        """Readings that this process has spared endpoints with `keep: last`, by endpoint."""

    @property
    def missing(self) -> int:
        """Readings, at most, that this process had acknowledged and a failover of the database has lost."""
        return self._engine.standing.missing

    @property
    def used_bytes(self) -> int:
        """About the bytes that the outbox took at the last commit."""
        return self._engine.standing.used_bytes

    async def log_length(self) -> int:
        """How many deliveries the delivery log has: settled ones that are no dead letters."""
        return await asyncio.to_thread(self._engine.log_length)

    async def totals(self) -> list[EndpointTotals]:
        """The endpoints' accounts as of the last commit."""
        return await asyncio.to_thread(self._engine.totals)

    def overview(self) -> Overview:
        """The whole outbox as of now, in numbers; callable from any thread."""
        return self._engine.overview()
