"""The page on an outbox of its own, asked as a browser asks it, without a port."""

from collections.abc import AsyncIterator, Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from support.behind_http import RunningLine, resources_of, running_line
from support.clock import HandClock
from support.outbox_builder import OutboxBuilder
from support.transports import AnyReceiver

from forwarder.api import Access, Door
from forwarder.web.page import STREAM, build_page

LOOKED_AT = 60

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
    return running_line(tmp_path)


@pytest.fixture
def open_page(
    built: OutboxBuilder, running: RunningLine, clock: HandClock, receiver: AnyReceiver
) -> Open:
    """Makes a browser that may look by this rule of access; on loopback and without a token unless told."""
    resources = resources_of(
        built.path, receiver, page_url="http://localhost", most_looked_at=LOOKED_AT
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
