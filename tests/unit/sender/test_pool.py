"""The pool over connections in memory: random answers, losses and cancellations, in any order."""

import asyncio
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import examples

from forwarder.sender.connection import Connection, OnLost
from forwarder.sender.failure import ConnectionLost, TransportFailure
from forwarder.sender.request import Origin
from forwarder.sender.transport import PooledTransport

CAP = 3
ORIGIN = Origin("http", "a.example", 80)
REQUEST = b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\n{}"
KEPT = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
CLOSING = KEPT.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)

Outcome = Literal["kept", "closing", "lost", "half", "silent", "undialled", "chatty"]
OUTCOMES: list[Outcome] = ["kept", "closing", "lost", "half", "silent", "undialled", "chatty"]


@dataclass
class Network:
    """What becomes of each request in turn, and how many connections are open meanwhile."""

    script: list[Outcome]
    open: int = 0
    most_open: int = 0

    def next(self) -> Outcome:
        return self.script.pop(0) if self.script else "kept"

    async def dial(self, *, deadline: float, on_lost: OnLost) -> Connection:
        self._count(+1)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._count(-1)
            raise
        if self.script[:1] == ["undialled"]:
            self.script.pop(0)
            self._count(-1)
            raise TransportFailure("connect_refused", "nobody listens")
        connection = Connection(on_lost=on_lost)
        connection.connection_made(Wire(self, connection))
        return connection

    def lose(self, connection: Connection) -> None:
        self._count(-1)
        connection.connection_lost(None)

    def _count(self, change: int) -> None:
        self.open += change
        self.most_open = max(self.most_open, self.open)


class Wire(asyncio.Transport):
    """A transport without a socket, which the script answers for."""

    def __init__(self, network: Network, connection: Connection) -> None:
        super().__init__()
        self._network, self._connection = network, connection
        self._loop = asyncio.get_running_loop()
        self._is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        match self._network.next():
            case "kept":
                self._feed(KEPT)
            case "closing":
                self._feed(CLOSING)
            case "chatty":
                self._feed(KEPT + KEPT)
            case "half":
                self._feed(KEPT[:20])
                self.abort()
            case "lost" | "undialled":
                self.abort()
            case "silent":
                pass

    def _feed(self, data: bytes) -> None:
        self._loop.call_soon(self._connection.data_received, data)

    def abort(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._loop.call_soon(self._network.lose, self._connection)

    def close(self) -> None:
        self.abort()

    def get_write_buffer_size(self) -> int:
        return 0


async def post(pool: PooledTransport, *, seconds: float = 0.005) -> int | str:
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        return (await pool.exchange(REQUEST, deadline=deadline)).status
    except TransportFailure as failure:
        return failure.word


async def run(script: list[Outcome], cancelled_after: list[int | None]) -> None:
    network = Network(script)
    pool = PooledTransport(ORIGIN, network.dial, max_connections=CAP)
    posts = [asyncio.ensure_future(post(pool)) for _ in cancelled_after]
    for turn in range(8):
        for attempt, at in zip(posts, cancelled_after, strict=True):
            if at == turn:
                attempt.cancel()
        await asyncio.sleep(0)
    results = await asyncio.gather(*posts, return_exceptions=True)
    assert all(isinstance(each, int | str | asyncio.CancelledError) for each in results)
    network.script.clear()
    after = await asyncio.gather(*(post(pool, seconds=10) for _ in range(2 * CAP)))
    assert after == [200] * (2 * CAP)
    assert network.most_open <= CAP
    await pool.aclose()
    assert network.open == 0


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.sampled_from(OUTCOMES), max_size=12),
    st.lists(st.none() | st.integers(0, 7), max_size=10),
)
def test_pool_never_exceeds_its_bound_and_always_recovers(
    script: list[Outcome], cancelled_after: list[int | None]
) -> None:
    """Whatever the receiver and the callers do: at most CAP connections, no place lost, nothing open at the end."""
    asyncio.run(run(script, cancelled_after))


async def test_attempt_cancelled_as_its_answer_comes_leaves_no_connection() -> None:
    """A cancellation closes the connection, even one that has the whole answer and nobody has looked at it yet."""
    network = Network(["silent"])
    connections: list[Connection] = []

    async def dial(*, deadline: float, on_lost: OnLost) -> Connection:
        connections.append(await network.dial(deadline=deadline, on_lost=on_lost))
        return connections[0]

    pool = PooledTransport(ORIGIN, dial, max_connections=CAP)
    attempt = asyncio.ensure_future(post(pool, seconds=10))
    for _ in range(4):
        await asyncio.sleep(0)
    connections[0].data_received(KEPT)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await asyncio.sleep(0)
    assert network.open == 0


async def test_bytes_that_come_before_the_request_has_left_are_not_its_answer() -> None:
    """They end the connection with nothing written, so the request goes once more on another."""
    network = Network(["kept"])
    connection = await network.dial(deadline=10, on_lost=lambda _: None)
    answer = connection.exchange(REQUEST, deadline=asyncio.get_running_loop().time() + 10)
    connection.data_received(KEPT)
    with pytest.raises(ConnectionLost):
        await answer
    assert not connection.has_answered
    assert network.script == ["kept"]
