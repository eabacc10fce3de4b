"""FORWARDER_HEARTBEAT_URL is called each minute while the service is ready, and no failure of it matters."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from support.clock import HandClock
from support.receiver import OK, answering, receiving

from forwarder.addresses import parse_networks
from forwarder.sender import Guard
from forwarder.sender.failure import NoDescriptor, TransportFailure
from forwarder.service.ready_call import ReadyCall, caller

URL = "https://ping.example/uuid-hunter2"


class Watcher:
    """The service that is called, by a transport of its own."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.calls: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self.answer: int | Exception = 200

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append((request.method, str(request.url)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return httpx.Response(self.answer)

    async def pass_minutes(self, minutes: int) -> None:
        for _ in range(minutes * 12):
            await _rest()
            self.clock.advance(5)
        await _rest()


async def _rest() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@asynccontextmanager
async def calling() -> AsyncIterator[Watcher]:
    watcher = Watcher()
    call = ReadyCall(
        URL, client=watcher.client, problems=lambda: watcher.problems, clock=watcher.clock
    )
    task = asyncio.create_task(call.run())
    await _rest()
    yield watcher
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as events:
        yield events


async def test_it_is_called_each_minute_while_ready() -> None:
    async with calling() as watcher:
        await watcher.pass_minutes(9)
    assert watcher.calls == [("GET", URL)] * 10


async def test_it_is_not_called_while_anything_is_in_the_way() -> None:
    """And again soon after that is over, so the grace of the watching service is not used up."""
    async with calling() as watcher:
        watcher.problems.append("not subscribed")
        await watcher.pass_minutes(5)
        assert len(watcher.calls) == 1
        watcher.problems.clear()
        watcher.clock.advance(5)
        await _rest()
        assert len(watcher.calls) == 2


@pytest.mark.parametrize(
    "failure",
    [
        500,
        302,
        TransportFailure("dns", "the host's name has no address"),
        NoDescriptor(),
        RuntimeError("an error of ours"),
    ],
    ids=repr,
)
async def test_a_failing_call_is_told_and_goes_on(
    failure: int | Exception, logs: list[Any]
) -> None:
    """Once, without the URL; and the calls come each minute as before."""
    async with calling() as watcher:
        watcher.answer = failure
        await watcher.pass_minutes(3)
        assert len(watcher.calls) == 4
        watcher.answer = 200
        await watcher.pass_minutes(2)
    events = [one["event"] for one in logs]
    if not isinstance(failure, RuntimeError):
        assert events == ["heartbeat.failed", "heartbeat.recovered"]
    assert "hunter2" not in str(logs)


async def test_it_goes_through_the_guard() -> None:
    """A private host may watch; what the operator's networks exclude is not called even so."""
    async with receiving(answering(OK)) as receiver:
        for guard, calls in ((Guard(), 1), (Guard(deny=parse_networks("127.0.0.0/8")), 1)):
            with suppress(TransportFailure):
                async with caller(receiver.url, guard=guard, proxy_url=None) as client:
                    await client.get(receiver.url)
            assert len(receiver.requests) == calls


async def test_no_redirect_is_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    async with (
        receiving(answering(moved)) as receiver,
        caller(receiver.url, guard=Guard(), proxy_url=None) as client,
    ):
        assert (await client.get(receiver.url)).status_code == 302
        assert len(receiver.requests) == 1
