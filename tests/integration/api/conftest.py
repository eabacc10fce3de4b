"""The API on an outbox of its own, asked as a client asks it, without a port."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from support.behind_http import resources_of, running_line
from support.clock import HandClock
from support.outbox_builder import OutboxBuilder
from support.transports import AnyReceiver

from forwarder.api import API_PREFIX, Access, Door, build_api

Open = Callable[..., httpx.AsyncClient]


@pytest.fixture
def built(tmp_path: Path) -> OutboxBuilder:
    return OutboxBuilder(tmp_path / "data" / "outbox.db")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def receiver() -> AnyReceiver:
    return AnyReceiver()


@pytest.fixture
def open_api(tmp_path: Path, clock: HandClock, receiver: AnyReceiver) -> Open:
    """Makes a client of an API with this rule of access; on loopback and without a token unless told."""
    outbox = tmp_path / "data" / "outbox.db"
    resources = resources_of(outbox, receiver, page_url="https://forwarder.example")
    line = running_line(tmp_path)

    def open_api(access: Access | None = None, base: str = "http://localhost") -> httpx.AsyncClient:
        rule = access or Access(None, listens_on_loopback=True)
        routes = build_api(resources, line=line, door=Door(rule, clock))
        app = Starlette(routes=[Mount(API_PREFIX, routes=routes)])
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=base + API_PREFIX, trust_env=False
        )

    return open_api


@pytest.fixture
async def api(open_api: Open) -> AsyncIterator[httpx.AsyncClient]:
    async with open_api() as client:
        yield client
