"""The API on an outbox of its own, asked as a client asks it, without a port."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from support.clock import HandClock
from support.outbox_builder import NOW, OutboxBuilder
from support.routing import ENVIRON
from support.transports import AnyReceiver

from forwarder.api import API_PREFIX, Access, Door, Resources, Situation, build_api
from forwarder.normalise import Normaliser
from forwarder.routes import Routes, load_routes

ROUTES = """\
groups:
  zurich: [ECC9FF5C7AD4]
endpoints:
  acme: {url: "https://a.example/", secret: env:KEY, devices: "*"}
  home: {url: "https://h.example/", secret: env:KEY, groups: [zurich]}
"""
READINESS = {
    "ready": True,
    "reasons": [],
    "mqtt": {"connected": True},
    "outbox": {"problem": None},
    "routes": {"endpoints": 2, "problems": 0, "first": None},
}


@dataclass
class RunningLine:
    """In the place of the running service."""

    routes: Routes
    readiness: dict[str, Any] = field(default_factory=lambda: dict(READINESS))

    def situation(self) -> Situation:
        return Situation(self.readiness, self.routes, None, NOW + 3600)


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
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES)
    resources = Resources(
        outbox_place=tmp_path / "data" / "outbox.db",
        normaliser=_normaliser(trusts=False),
        trusting=_normaliser(trusts=True),
        page_url="https://forwarder.example",
        transports=lambda: lambda _: httpx.MockTransport(receiver),
    )
    line = RunningLine(load_routes(file, environ=ENVIRON))

    def open_api(access: Access | None = None, base: str = "http://localhost") -> httpx.AsyncClient:
        rule = access or Access(None, listens_on_loopback=True)
        routes = build_api(resources, line=line, door=Door(rule, clock))
        app = Starlette(routes=[Mount(API_PREFIX, routes=routes)])
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=base + API_PREFIX, trust_env=False
        )

    return open_api


def _normaliser(*, trusts: bool) -> Normaliser:
    return Normaliser(
        timezone=ZoneInfo("Europe/Zurich"),
        max_message_bytes=65536,
        trusts_payload_device=trusts,
        template=None,
    )


@pytest.fixture
async def api(open_api: Open) -> AsyncIterator[httpx.AsyncClient]:
    async with open_api() as client:
        yield client
