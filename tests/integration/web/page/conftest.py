"""The page on an outbox of its own, asked as a browser asks it, without a port."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
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

from forwarder.api import Access, Door, Resources, Situation
from forwarder.normalise import Normaliser
from forwarder.routes import Routes, load_routes
from forwarder.web.page import STREAM, Pulse, build_page

LOOKED_AT = 60
ROUTES = """\
groups:
  zurich: [ECC9FF5C7AD4]
endpoints:
  acme: {url: "https://a.example/", secret: env:KEY, devices: "*"}
  home: {url: "https://h.example/", secret: env:KEY, groups: [zurich]}
"""


def _readiness() -> dict[str, Any]:
    return {
        "ready": True,
        "reasons": [],
        "warnings": [],
        "mqtt": {"connected": True, "subscribed": True, "since": "2025-11-18T10:00:00Z", "problem": None},
        "outbox": {"problem": None},
        "routes": {"endpoints": 2, "problems": 0, "first": None},
    }  # fmt: skip


@dataclass
class RunningLine:
    """In the place of the running service."""

    routes: Routes
    readiness: dict[str, Any] = field(default_factory=_readiness)
    problem: str | None = None
    last_message_at: float | None = NOW + 3597

    def situation(self) -> Situation:
        return Situation(self.readiness, self.routes, self.problem, NOW + 3600)

    def pulse(self) -> Pulse:
        return Pulse(tuple(self.readiness["reasons"]), self.last_message_at, 1 << 20, 1 << 30, NOW)


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
def running(tmp_path: Path) -> RunningLine:
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES)
    return RunningLine(load_routes(file, environ=ENVIRON))


@pytest.fixture
def open_page(
    tmp_path: Path,
    built: OutboxBuilder,
    running: RunningLine,
    clock: HandClock,
    receiver: AnyReceiver,
) -> Open:
    """Makes a browser that may look by this rule of access; on loopback and without a token unless told."""
    resources = Resources(
        outbox_place=built.place,
        normaliser=_normaliser(trusts=False),
        trusting=_normaliser(trusts=True),
        page_url="http://localhost",
        most_looked_at=LOOKED_AT,
        transports=lambda: lambda _: httpx.MockTransport(receiver),
    )

    def open_page(
        access: Access | None = None, base: str = "http://localhost"
    ) -> httpx.AsyncClient:
        rule = access or Access(None, listens_on_loopback=True)
        page = build_page(resources, line=running, door=Door(rule, clock))
        app = Starlette(routes=[Mount(STREAM, routes=page.stream), Mount("", routes=page.views)])
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=base, trust_env=False,
            headers={"origin": base},
        )  # fmt: skip

    return open_page


def _normaliser(*, trusts: bool) -> Normaliser:
    return Normaliser(
        timezone=ZoneInfo("Europe/Zurich"),
        max_message_bytes=65536,
        trusts_payload_device=trusts,
        template=None,
    )


@pytest.fixture
async def page(open_page: Open) -> AsyncIterator[httpx.AsyncClient]:
    async with open_page() as client:
        yield client


class Text(HTMLParser):
    """What a page says, without its markup; and the markup that it is made of."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.said).split())


@pytest.fixture
def read(page: httpx.AsyncClient) -> Callable[..., Any]:
    """Reads a view as a person does."""

    async def read(path: str, status: int = 200) -> str:
        answer = await page.get(path)
        assert answer.status_code == status, answer.text
        return Text(answer.text).words

    return read
