"""
A hostile client of the HTTP port, in a process of its own at the lowest priority, as if on another machine.

    python port_attack.py KIND PORT COUNT

The client keeps COUNT connections of a KIND busy until its stdin is closed, and opens each again whenever it is closed.
Then it prints as JSON how many it opened, and which statuses it got.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

HOST = "127.0.0.1"
START = b"GET /healthz HTTP/1.1\r\nhost: a\r\n"
WHOLE = START + b"\r\n"
PIECE_BYTES = 16 * 1024

Attack: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(START)
    while True:
        writer.write(b"x: a\r\n" * (PIECE_BYTES // 6))
        await writer.drain()


async def endless_header(writer: asyncio.StreamWriter) -> None:
    writer.write(START + b"x: ")
    while True:
        writer.write(b"a" * PIECE_BYTES)
        await writer.drain()


async def endless_target(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /")
    while True:
        writer.write(b"%41" * (PIECE_BYTES // 3))
        await writer.drain()


async def half_open(writer: asyncio.StreamWriter) -> None:
    writer.write(START)


async def slow_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"POST /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n")
    while True:
        writer.write(b"a")
        await asyncio.sleep(0.01)


async def unread(writer: asyncio.StreamWriter) -> None:
    """Ask for many answers, and read none."""
    writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's transports of sockets have it
    while True:
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0.01)


async def flood(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(WHOLE)
        await writer.drain()
        await asyncio.sleep(0)


async def scrapes(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


async def reconnecting(writer: asyncio.StreamWriter) -> None:
    """Send a whole request, and go."""
    writer.write(WHOLE)
    await writer.drain()
    writer.transport.abort()


async def knocking(writer: asyncio.StreamWriter) -> None:
    """Go at once."""
    writer.transport.abort()


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        endless_headers,
        endless_header,
        endless_target,
        half_open,
        slow_body,
        unread,
        flood,
        scrapes,
        reconnecting,
        knocking,
    )
}


async def keep_attacking(attack: Attack, port: int, answers: Counter[str]) -> None:
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(HOST, port)
            answers["connections"] += 1
            sending = asyncio.ensure_future(attack(writer))
            try:
                await listen(reader, answers)
            finally:
                sending.cancel()
                await asyncio.wait([sending])
                writer.transport.abort()


async def listen(reader: asyncio.StreamReader, answers: Counter[str]) -> None:
    """Read until the other side closes, and count the status of the first answer."""
    first = await reader.read(PIECE_BYTES)
    if first:
        answers[first.split(b" ", 2)[1].decode()] += 1
    while first:
        first = await reader.read(PIECE_BYTES)


async def main(kind: str, port: int, count: int) -> None:
    answers: Counter[str] = Counter()
    tasks = [
        asyncio.create_task(keep_attacking(ATTACKS[kind], port, answers)) for _ in range(count)
    ]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    print(json.dumps(answers), flush=True)


@asynccontextmanager
async def attacking(kind: str, *, port: int, count: int) -> AsyncIterator[Counter[str]]:
    """Attack while the block runs; the given counter holds the answers after the block."""
    answers: Counter[str] = Counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, kind, str(port), str(count), stdin=PIPE, stdout=PIPE
    )
    try:
        yield answers
        output, _ = await process.communicate(b"")
        answers.update(json.loads(output))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    os.nice(19)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
