"""Short functions that use an outbox as a dispatcher does."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from forwarder.delivery import Attempt, Decision, Done
from forwarder.outbox import Claim, EndpointTotals, Outbox, Prune, Settlement
from forwarder.outbox.sql import operations

LONGEST_WAIT = 3600.0


async def claim(outbox: Outbox, endpoint: str = "acme", *, limit: int = 1) -> Claim | None:
    """A claim, once the deliveries have been read; None when there are none."""
    schedule = outbox.schedule
    schedule.serve(endpoint, most_at_once=limit, longest_wait_seconds=LONGEST_WAIT)
    async with asyncio.timeout(10):
        while (claimed := schedule.claim(endpoint, limit=limit)) is None and is_reading(outbox):  # noqa: ASYNC110 - nobody is told of reads that bring nothing
            await asyncio.sleep(0)
    return claimed


def is_reading(outbox: Outbox) -> bool:
    """Whether deliveries are being read that may then be claimed."""
    return outbox.schedule._heads.is_busy


async def must_claim(outbox: Outbox, endpoint: str = "acme", *, limit: int = 1) -> Claim:
    claimed = await claim(outbox, endpoint, limit=limit)
    assert claimed is not None
    return claimed


def settle(
    outbox: Outbox,
    claimed: Claim,
    decision: Decision | None = None,
    *,
    error: str = "",
    address: str | None = None,
) -> None:
    """Settle all of a claim in one way, by default as delivered."""
    decision = decision or Done()
    last = attempt(claimed.deliveries[0].attempts + 1, error=error, address=address)
    settlement = Settlement(claimed.deliveries, decision, last)
    outbox.settle(claimed.deliveries[0].endpoint, [settlement], ends=[claimed])


def attempt(number: int = 1, *, error: str = "", address: str | None = None) -> Attempt:
    return Attempt(
        number=number,
        attempted_at=1763461060.0,
        duration_ms=1.5,
        status=None if error else 204,
        error=error,
        address=address,
    )


async def flush(outbox: Outbox) -> None:
    """Return once everything recorded so far is on disk."""
    await outbox.operate(Prune(delivered_before=0.0, dead_before=0.0))


async def totals(outbox: Outbox, endpoint: str = "acme") -> EndpointTotals:
    await flush(outbox)
    return next(one for one in outbox.accounts.overview().endpoints if one.name == endpoint)


def ids(claimed: Claim) -> list[str]:
    """The payloads of `new_reading`, which tell the claimed readings apart."""
    return [one.data.decode().split('"')[3] for one in claimed.deliveries]


async def until_it_failed(outbox: Outbox) -> None:
    """Return once a commit has failed."""
    async with asyncio.timeout(10):
        while outbox.capacity.is_writable:  # noqa: ASYNC110 - it is told to nobody, only shown
            await asyncio.sleep(0)


@contextmanager
def failing_operations(error: Exception) -> Iterator[None]:
    """Make operations fail with an error of the program's own, after they have done their work."""
    perform = operations._perform

    def fail(store: Any, operation: Any, in_flight: Any) -> None:
        perform(store, operation, in_flight)
        raise error

    with patch.object(operations, "_perform", fail):
        yield
