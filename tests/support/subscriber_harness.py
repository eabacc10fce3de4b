"""A harness that runs a subscriber at quick pace, and records the arrivals that it hands over."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from forwarder.clock import SystemClock
from forwarder.settings import Broker
from forwarder.subscriber import Arrival, Pace, SessionState, Subscriber

PATIENCE_SECONDS = 20.0
QUICK = Pace(dial=5.0, answer=5.0, first_retry=0.05, longest_retry=0.2, steady=0.5)


class ArrivalRecorder:
    """Keeps every arrival, and wakes the tests that wait for them."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._more = asyncio.Event()

    def __call__(self, arrivals: Sequence[Arrival]) -> None:
        self.arrivals += arrivals
        self._more.set()

    @property
    def payloads(self) -> list[bytes]:
        return [arrival.message.payload for arrival in self.arrivals]

    async def wait(self, count: int) -> list[Arrival]:
        """The arrivals, once there are `count`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.arrivals) < count:
                self._more.clear()
                await self._more.wait()
        return self.arrivals


async def until(subscriber: Subscriber, condition: Callable[[SessionState], bool]) -> SessionState:
    """The state of the session, once `condition` holds of it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition(subscriber.state):  # noqa: ASYNC110 - a snapshot tells nobody when it changes
            await asyncio.sleep(0.005)
    return subscriber.state


@asynccontextmanager
async def running(
    broker: Broker,
    recorder: Callable[[Sequence[Arrival]], None] | None = None,
    *,
    pace: Pace = QUICK,
    expects_session: bool = False,
) -> AsyncIterator[Subscriber]:
    """A subscriber at quick pace; the end of the block cuts it off, as a crash does."""
    subscriber = Subscriber(
        broker,
        clock=SystemClock(),
        on_arrivals=recorder or (lambda _: None),
        pace=pace,
        expects_session=expects_session,
    )
    task = asyncio.create_task(subscriber.run())
    try:
        yield subscriber
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def subscribed(
    broker: Broker,
    recorder: Callable[[Sequence[Arrival]], None] | None = None,
    *,
    pace: Pace = QUICK,
    expects_session: bool = False,
) -> AsyncIterator[Subscriber]:
    """A subscriber as `running` gives it, once it is subscribed."""
    async with running(broker, recorder, pace=pace, expects_session=expects_session) as subscriber:
        await until(subscriber, lambda state: state.subscribed)
        yield subscriber
