"""The server as clients meet it: answers, refusals, and a stop that waits for nobody."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs
from support.port_attack import HOST
from support.service import eventually

from forwarder.web import WebServer, build_app
from forwarder.web.gate import Connection, Limits
from forwarder.web.server import GONE_AT_ONCE

GET = b"GET /healthz HTTP/1.1\r\nhost: a\r\n"
SLOW_ANSWERS = 32
LIMITS = Limits(connections=SLOW_ANSWERS + 8, refused_seconds=0.2)


class Service:
    """Tells that all is well; its metrics wait until they may be told."""

    def __init__(self) -> None:
        self.may_tell = asyncio.Event()
        self.stuck: list[str] = []
        self.troubles: list[str] = []

    def stuck_parts(self) -> list[str]:
        return self.stuck

    def unmended(self) -> list[str]:
        return self.troubles

    def readiness(self) -> Mapping[str, Any]:
        return {"ready": True}

    def endpoints(self) -> Mapping[str, Any]:
        return {"acme": {"paused": False}}

    async def metrics(self) -> bytes:
        await self.may_tell.wait()
        return b"m" * 4_000_000


@asynccontextmanager
async def serving(
    service: Service, *extra: Route, limits: Limits = LIMITS
) -> AsyncIterator[tuple[httpx.AsyncClient, WebServer]]:
    app = build_app(service, slow_answers=SLOW_ANSWERS)
    app.router.routes += extra
    server = WebServer(app, host=HOST, port=0, limits=limits)
    server.start()
    pool = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=f"http://{HOST}:{server.port}", trust_env=False, timeout=20, limits=pool
    ) as client:
        yield client, server
    async with asyncio.timeout(20):
        await server.close()


async def talk(server: WebServer, *sent: bytes) -> bytes:
    """What comes back until the server closes, or resets what it has not read."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.writelines(sent)
    said = b""
    with suppress(ConnectionResetError):
        async with asyncio.timeout(20):
            while piece := await reader.read(4096):
                said += piece
    writer.close()
    return said


async def test_keep_alive_serves_one_after_the_other() -> None:
    """A connection is used again, also by requests that were sent ahead, and after an upgrade that is not made."""
    upgrade = GET + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"
    last = GET + b"connection: close\r\n\r\n"
    async with serving(Service()) as (_, server):
        said = await talk(server, (GET + b"\r\n") * 3, upgrade, GET + b"\r\n" + last)
    assert said.count(b"HTTP/1.1 200 OK") == 6


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\n\n", 400),
        (b"POST /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n", 413),
        (b"POST /healthz HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", 414),
        (GET + b"x: y\r\n" * 1000 + b"\r\n", 431),
        (GET + b"x: " + b"y" * 100_000, 431),
    ],
)
async def test_what_is_not_a_small_request_is_refused(sent: bytes, status: int) -> None:
    """It is answered in the words of RFC 9110 and 6585, says that it closes, and closes."""
    async with serving(Service()) as (_, server):
        said = (await talk(server, sent)).lower()
    assert said.startswith(b"http/1.1 %d " % status)
    assert b"connection: close" in said


async def test_endpoints_are_named_to_whoever_asks_for_them() -> None:
    """There may be thousands: a look at readiness does not carry them."""
    async with serving(Service()) as (client, _):
        short, long = await client.get("/readyz"), await client.get("/readyz?endpoints")
    assert short.json() == {"ready": True}
    assert long.json() == {"ready": True, "endpoints": {"acme": {"paused": False}}}


async def test_health_tells_every_part_that_is_stuck() -> None:
    """What a restart would mend, and what it most likely would not."""
    service = Service()
    async with serving(service) as (client, _):
        service.troubles = ["routes.yaml cannot be read"]
        waiting = await client.get("/healthz")
        service.stuck = ["upkeep has stopped"]
        stuck = await client.get("/healthz")
    assert (waiting.status_code, waiting.text) == (503, "routes.yaml cannot be read\n")
    assert (stuck.status_code, stuck.text) == (
        503,
        "upkeep has stopped\nroutes.yaml cannot be read\n",
    )


async def test_no_redirect_is_made_from_the_host_header() -> None:
    """A path with a slash too many is not there."""
    async with serving(Service()) as (client, _):
        answer = await client.get("/metrics/", headers={"host": "elsewhere.example"})
    assert answer.status_code == 404


async def test_slow_answers_leave_connections_to_the_others() -> None:
    """So many scrapes wait; the next gets 503, and /healthz is answered."""
    service = Service()
    async with serving(service) as (client, _):
        scrapes = [asyncio.create_task(client.get("/metrics")) for _ in range(SLOW_ANSWERS + 1)]
        done, waiting = await asyncio.wait(scrapes, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().status_code for task in done] == [503]
        assert (await client.get("/healthz")).status_code == 200
        service.may_tell.set()
        answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} == {200}
        assert (await client.get("/metrics")).status_code == 200


async def test_half_open_requests_do_not_keep_others_out() -> None:
    """Where they have all the places, the oldest gets 503 and its place goes to a newcomer."""
    async with serving(Service()) as (client, server):
        half_open = [asyncio.create_task(talk(server, GET)) for _ in range(LIMITS.connections)]
        while (await client.get("/healthz", headers={"connection": "close"})).status_code == 200:
            if any(task.done() for task in half_open):
                break
        done = next(task for task in half_open if task.done())
        assert done.result().startswith(b"HTTP/1.1 503 ")


async def test_clients_that_have_gone_take_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed or reset before it was let in: whoever waits behind them comes in at once."""
    entered: list[Connection] = []
    async with serving(Service()) as (client, server):
        enter = server._gate.enter

        def enter_and_note() -> Connection:
            entered.append(enter())
            return entered[-1]

        monkeypatch.setattr(server._gate, "enter", enter_and_note)
        for resets in (False, True) * (GONE_AT_ONCE + 1):
            gone = socket.create_connection((HOST, server.port))
            if resets:  # socket(7), SO_LINGER
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.close()
        assert (await client.get("/healthz")).status_code == 200
    assert len(entered) == 1


async def test_a_client_that_says_no_more_than_its_request_is_answered() -> None:
    """It has closed its side (RFC 9112 §9.6), and has not gone."""
    async with serving(Service()) as (_, server):
        with socket.create_connection((HOST, server.port)) as asking:
            asking.sendall(GET + b"connection: close\r\n\r\n")
            asking.shutdown(socket.SHUT_WR)
            said = await asyncio.to_thread(asking.recv, 4096)
    assert said.startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_does_not_read_is_closed() -> None:
    """An answer that nobody takes ends with its connection."""
    service = Service()
    service.may_tell.set()
    limits = replace(LIMITS, stall_seconds=0.05)
    async with serving(service, limits=limits) as (_, server):
        _, writer = await asyncio.open_connection(HOST, server.port, limit=1)
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")

        async def is_over() -> bool:
            return server._server.server_state.total_requests == 1 and len(server._gate) == 0

        await eventually(is_over, what="the end of the connection")
        writer.close()


async def test_it_closes_whoever_is_connected() -> None:
    """A stop waits neither for half a request nor for a stream."""
    begun = asyncio.Event()

    async def stream(_: Request) -> Response:
        async def forever() -> AsyncIterator[bytes]:
            begun.set()
            yield b"once"
            await asyncio.Event().wait()

        return StreamingResponse(forever())

    async with serving(Service(), Route("/stream", stream)) as (_, server):
        half = asyncio.create_task(talk(server, GET))
        streamed = asyncio.create_task(talk(server, b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n"))
        await begun.wait()
    assert b"once" in await streamed
    assert b"200" not in await half


async def test_an_error_of_ours_is_logged_and_closes(capsys: pytest.CaptureFixture[str]) -> None:
    """It is one event of the log, and nothing on stderr."""

    async def broken(_: Request) -> Response:
        raise RuntimeError("on purpose")

    with capture_logs() as logs:
        async with serving(Service(), Route("/broken", broken)) as (client, _):
            assert (await client.get("/broken")).status_code == 500
            assert (await client.get("/healthz")).status_code == 200
    assert [log["event"] for log in logs] == ["http.broke"]
    assert capsys.readouterr().err == ""
