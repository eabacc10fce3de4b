"""Receivers that answer as nobody should: who has said 200 gets no copies, the others get theirs later."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from support.attack import Extent, Tried
from support.line import QUICK_RETRY, Line, assert_balanced
from support.misbehaviour import ANSWERING, FAILING, sending_then_closing
from support.odd_answers import ODD_ANSWERS
from support.receiver import Behaviour, Peer, Receiver, polite, receiving
from support.webhooks import Webhooks

READINGS = 6
MOST_GROWTH_BYTES = 32 << 20
SHORT_STEP = 10
"""In the short form every tenth of them."""


@dataclass(frozen=True)
class Case:
    """A receiver's behaviour, and whether it has taken what it was sent."""

    behaviour: Behaviour
    has_taken: bool


CASES = (
    *(Case(one.behaviour, has_taken=False) for one in FAILING),
    *(Case(one.behaviour, has_taken=True) for one in ANSWERING),
    *(Case(sending_then_closing(one.wire), 200 <= one.ours < 300) for one in ODD_ANSWERS),
)


@dataclass(eq=False)
class Ward:
    """A receiver that misbehaves until it is told to mend its ways."""

    case: Case
    mended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, peer: Peer) -> None:
        if self.mended.is_set():
            await polite(peer)
            return
        misbehaving = asyncio.ensure_future(self.case.behaviour(peer))
        mending = asyncio.ensure_future(self.mended.wait())
        try:
            await asyncio.wait((misbehaving, mending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            misbehaving.cancel()
            mending.cancel()
            await asyncio.gather(misbehaving, mending, return_exceptions=True)


@pytest.mark.timeout(180)
async def test_receivers_that_misbehave(line: Line, extent: Extent, tried: list[Tried]) -> None:
    """Each reading is delivered once where it was answered 200, and where not as soon as the receiver behaves."""
    cases = CASES if extent == "full" else CASES[::SHORT_STEP]
    async with AsyncExitStack() as stack:
        wards = [Ward(case) for case in cases]
        receivers = [await stack.enter_async_context(receiving(ward.serve)) for ward in wards]
        for number, receiver in enumerate(receivers):
            line.endpoints[f"receiver-{number}"] = as_endpoint(receiver)
        await line.start()
        before = line.service.peak_memory_bytes
        await line.publish(READINGS)
        await attend(line, list(zip(wards, receivers, strict=True)))
        assert_balanced(await line.service.status())
        growth = line.service.peak_memory_bytes - before
        assert extent == "short" or growth < MOST_GROWTH_BYTES
        assert await line.service.stop() == 0
    tried.append(
        Tried(
            "receivers' answers",
            "heads, framings and bodies that are broken, endless or slow",
            len(cases),
            f"all readings delivered, without copies where it was 200; memory grew by {growth >> 20} MiB",
        )
    )


async def attend(line: Line, served: list[tuple[Ward, Receiver]]) -> None:
    """Return once every receiver has what was published; those that failed are made to behave meanwhile."""
    for number, (ward, receiver) in enumerate(served):
        name = f"receiver-{number}"
        if not ward.case.has_taken:
            await line.service.settled(name, lambda totals: totals.health.failures > 0)
            ward.mended.set()
        await line.service.settled(name, lambda totals: totals.delivered == READINGS)
        ids = [request.header("webhook-id") for request in receiver.requests]
        assert len(set(ids)) == READINGS
        assert not ward.case.has_taken or len(ids) == READINGS


def as_endpoint(receiver: Receiver) -> dict[str, object]:
    return {
        "url": receiver.url,
        "secret": Webhooks("any").secret,
        "devices": "*",
        "allow_private": True,
        "retry": QUICK_RETRY,
        "timeout": "5s",
    }
