"""
One attempt's cost: Sender over its own transport, against httpx's default pool and aiohttp.

    python benchmarks/sender.py --seconds 2

POSTs of 500 bytes with keep-alive to a minimal receiver in a process of its own, on loopback. A client that is not
installed is left out. Rates waver by a factor of two on shared cores; CPU per request stays within a fifth.
"""

import argparse
import asyncio
import importlib.util
import multiprocessing
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import uvloop

BODY = b'{"type":"meter.reading","data":"' + b"x" * 466 + b'"}'
HEADERS = (
    ("content-type", "application/json"),
    ("webhook-id", "msg_0123456789abcdef0123456789abcdef"),
    ("webhook-timestamp", "1763461060"),
    ("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
    ("webhook-attempt", "1"),
)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Post = Callable[[], Awaitable[object]]


class MinimalReceiver(asyncio.Protocol):
    """Answers as soon as a request's body has come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment] # asyncio types it too widely
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        while (end := self.seen.find(b"\r\n\r\n")) >= 0:
            size = int(self.seen.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(self.seen) < end + 4 + size:
                break
            self.seen = self.seen[end + 4 + size :]
            self.transport.write(ANSWER)


def receive(listener: socket.socket) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(MinimalReceiver, sock=listener)
        await server.serve_forever()

    uvloop.run(serve())


async def ours(url: str, in_flight: int, stack: AsyncExitStack) -> Post:
    from forwarder.routes.model import Endpoint, EndpointName
    from forwarder.sender import Sender, pooled_transports

    sender = Sender(pooled_transports())
    stack.push_async_callback(sender.aclose)
    endpoint = Endpoint(
        name=EndpointName("it"), url=url, keys=(), allow_private=True, max_concurrency=in_flight
    )
    return partial(sender.post, endpoint, url=url, headers=HEADERS, body=BODY)


async def httpx_default(url: str, in_flight: int, stack: AsyncExitStack) -> Post:
    import httpx

    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    client = await stack.enter_async_context(httpx.AsyncClient(limits=limits, trust_env=False))
    return partial(client.post, url, content=BODY, headers=dict(HEADERS))


async def aiohttp_default(url: str, in_flight: int, stack: AsyncExitStack) -> Post:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=in_flight)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

    async def post() -> bytes:
        async with session.post(url, data=BODY, headers=dict(HEADERS)) as response:
            return await response.read()

    return post


CLIENTS = {"ours": ours, "httpx": httpx_default, "aiohttp": aiohttp_default}


async def measure(client: str, url: str, in_flight: int, seconds: float) -> tuple[float, float]:
    """Requests per second, and CPU microseconds per request."""
    async with AsyncExitStack() as stack:
        post = await CLIENTS[client](url, in_flight, stack)
        await post()
        count, until = 0, time.perf_counter() + seconds

        async def lane() -> None:
            nonlocal count
            while time.perf_counter() < until:
                await post()
                count += 1

        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(lane() for _ in range(in_flight)))
        return count / (time.perf_counter() - started), (time.process_time() - cpu) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--clients", nargs="*", default=list(CLIENTS))
    parser.add_argument("--in-flight", nargs="*", type=int, default=[1, 10, 50])
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    receiver = multiprocessing.get_context("fork").Process(
        target=receive, args=(listener,), daemon=True
    )
    receiver.start()
    for client in options.clients:
        if client != "ours" and importlib.util.find_spec(client) is None:
            print(f"{client:8} is not installed")
            continue
        for loop, run in (("asyncio", asyncio.run), ("uvloop", uvloop.run)):
            for in_flight in options.in_flight:
                rate, cpu = run(measure(client, url, in_flight, options.seconds))
                print(f"{client:8} {loop:8} {in_flight:3} in flight {rate:8.0f}/s {cpu:7.1f} µs")
    receiver.terminate()


if __name__ == "__main__":
    main()
