"""A harness of a dispatcher over a real outbox; the test is its receivers, and each attempt waits for an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import httpx
from support.clock import HandClock
from support.outbox import flush, is_reading, totals
from support.outbox_harness import OutboxHarness
from support.readings import routes_to
from support.transports import HandledTransport

from forwarder.dispatcher import Dispatcher, Watch
from forwarder.metrics import Metrics
from forwarder.outbox import EndpointTotals, Outbox
from forwarder.routes import Endpoint
from forwarder.sender import Sender
from forwarder.sender.failure import TransportFailure
from forwarder.service.expiry import Expiry


@dataclass(eq=False)
class Posted:
    """One POST that waits for its answer."""

    endpoint: str
    webhook_id: str
    attempt: int
    body: bytes
    _answer: "asyncio.Future[httpx.Response | Exception]"

    @property
    def ids(self) -> list[str]:
        """The payloads of `new_reading`, which tell the readings in the POST apart."""
        return [piece.split('"')[0] for piece in self.body.decode().split('"id":"')[1:]]

    @property
    def is_answered(self) -> bool:
        return self._answer.done()

    def answer(self, status: int = 204, **headers: str) -> None:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answer.set_result(httpx.Response(status, headers=fields))

    def fail(self, error: Exception | None = None) -> None:
        self._answer.set_result(error or TransportFailure("unreachable", "no route to it"))


@dataclass(eq=False)
class DispatcherHarness:
    """Everything right of the outbox, with a hand-set clock and without chance."""

    outbox_harness: OutboxHarness
    posted: list[Posted] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    watch: Watch | None = None

    def open(self, *endpoints: Endpoint) -> Outbox:
        self.outbox = self.outbox_harness.open()
        sender = Sender(lambda endpoint: HandledTransport(self._take(endpoint.name)))
        watch = self.watch or Watch(self.metrics)
        self.dispatcher = Dispatcher(
            outbox=self.outbox, sender=sender, clock=self.clock, watch=watch, spread=lambda: 0.0
        )
        self.outbox.attach(self.dispatcher)
        self.expiry = Expiry(
            outbox=self.outbox, dispatcher=self.dispatcher, clock=self.clock, watch=watch
        )
        self.route(*endpoints)
        return self.outbox

    def route(self, *endpoints: Endpoint) -> None:
        self.dispatcher.apply(routes_to(*endpoints))

    @property
    def clock(self) -> HandClock:
        return self.outbox_harness.clock

    def _take(self, endpoint: str) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
        async def handle(request: httpx.Request) -> httpx.Response:
            answer: asyncio.Future[httpx.Response | Exception] = (
                asyncio.get_running_loop().create_future()
            )
            self.posted.append(
                Posted(
                    endpoint,
                    request.headers["webhook-id"],
                    int(request.headers["webhook-attempt"]),
                    request.content,
                    answer,
                )
            )
            result = await answer
            if isinstance(result, Exception):
                raise result
            return result

        return handle

    @property
    def waiting(self) -> list[Posted]:
        """The POSTs in flight."""
        return [one for one in self.posted if not one.is_answered]

    async def rest(self) -> None:
        """Return once nothing moves any more: every record is on disk, and every attempt waits for an answer."""
        is_still = False
        while not is_still:
            await flush(self.outbox)
            # Idleness is asked before and after, because a read that ends in the last turn sets off another attempt.
            seen, was_idle = len(self.posted), self.outbox_is_idle
            for _ in range(20):
                await asyncio.sleep(0)
            is_still = was_idle and self.outbox_is_idle and seen == len(self.posted)

    @property
    def outbox_is_idle(self) -> bool:
        return self.outbox.is_at_rest and not is_reading(self.outbox)

    async def advance(self, seconds: float) -> None:
        await self.rest()
        self.clock.advance(seconds)
        await self.rest()

    async def answer_next(self, status: int, *, times: int) -> None:
        """Answer the first POST in flight, and then the next, so many times."""
        for _ in range(times):
            self.waiting[0].answer(status)
            await self.rest()

    async def answer_all(self, status: int = 204) -> list[Posted]:
        """Answer every POST in flight, and those that follow, until none is in flight."""
        answered: list[Posted] = []
        await self.rest()
        while self.waiting:
            for posted in self.waiting:
                posted.answer(status)
                answered.append(posted)
            await self.rest()
        return answered

    async def totals(self, endpoint: str = "acme") -> EndpointTotals:
        await self.rest()
        return await totals(self.outbox, endpoint)


def all_ids(posted: Iterable[Posted]) -> list[str]:
    return [reading for one in posted for reading in one.ids]
