"""Who sees the page, and what a browser is told to keep from others."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from support.clock import HandClock

from forwarder.api import Access
from forwarder.web.page.app import VIEWS

Open = Callable[..., httpx.AsyncClient]
PLAIN = [path for path in VIEWS if "{" not in path]


@pytest.mark.parametrize("path", [*PLAIN, "/nothing"])
async def test_every_view_keeps_to_itself(page: httpx.AsyncClient, path: str) -> None:
    """Nothing is cached, framed, or loaded from elsewhere, and no script stands in the page."""
    answer = await page.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (
        re.findall(r"<script(?![^>]+src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text) == []
    )
    assert re.findall(r'(?:src|href)="(?!/)[^"#]', answer.text) == []


@pytest.mark.parametrize("path", [*PLAIN, "/live/changes", "/nothing"])
async def test_a_foreign_host_sees_nothing(open_page: Open, path: str) -> None:
    """A name of somebody else's that leads here (DNS rebinding) opens no view and no stream."""
    async with open_page(base="http://rebound.example") as client:
        answer = await client.get(path)
    assert answer.status_code == 403
    assert "acme" not in answer.text


async def test_with_a_token_nobody_else_looks(open_page: Open) -> None:
    """Loopback alone is not enough where a token is set."""
    async with open_page(Access("an-admin-token-9b41c7", listens_on_loopback=True)) as client:
        answer = await client.get("/", follow_redirects=True)
        right = await client.get("/", headers={"authorization": "Bearer an-admin-token-9b41c7"})
    assert "acme" not in answer.text
    assert right.status_code == 200


async def test_style_and_scripts_are_kept_for_good(page: httpx.AsyncClient) -> None:
    """Each is named by its content; another name is nothing."""
    text = (await page.get("/")).text
    paths = re.findall(r'"(/static/[^"]+)"', text)
    assert len(paths) >= 4
    for path in paths:
        answer = await page.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await page.get("/static/0000000000000000/page.css")).status_code == 404
    assert (await page.get(paths[0].replace("page.css", "../page.css"))).status_code == 404


async def test_the_first_load_is_small(page: httpx.AsyncClient) -> None:
    """A view with all that it needs takes at most 60 KB compressed."""
    first = await _packed(page, "/")
    paths = set(re.findall(r'"(/static/[^"]+)"', (await page.get("/")).text))
    sizes = [first, *[await _packed(page, path) for path in paths]]
    assert 10_000 < sum(sizes) <= 60 * 1024


async def _packed(page: httpx.AsyncClient, path: str) -> int:
    """Bytes on the wire."""
    request = page.build_request("GET", path, headers={"accept-encoding": "gzip"})
    answer = await page.send(request, stream=True)
    assert answer.headers["content-encoding"] == "gzip"
    return sum([len(part) async for part in answer.aiter_raw()])


TOKEN = "an-admin-token-9b41c7"


@pytest.fixture
async def guarded(open_page: Open) -> AsyncIterator[httpx.AsyncClient]:
    async with open_page(Access(TOKEN, listens_on_loopback=False)) as client:
        yield client


async def test_people_sign_in_and_out(guarded: httpx.AsyncClient) -> None:
    """The token opens the page until the reader signs out, and leads to what was asked for."""
    asked = await guarded.get("/endpoints?x=1")
    assert asked.headers["location"] == "/sign-in?next=%2Fendpoints%3Fx%3D1"
    answer = await guarded.post(asked.headers["location"], data={"token": TOKEN})
    assert answer.headers["location"] == "/endpoints?x=1"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    assert "Sign out" in (await guarded.get("/endpoints")).text
    await guarded.post("/sign-out")
    assert (await guarded.get("/endpoints")).status_code == 303


async def test_a_wrong_token_is_said_and_never_shown(
    guarded: httpx.AsyncClient, clock: HandClock
) -> None:
    """It comes back late, as a sentence, without what was given."""
    asking = asyncio.create_task(guarded.post("/sign-in", data={"token": "a-wrong-token-0001"}))
    for _ in range(50):
        await asyncio.sleep(0)
    clock.advance(1.0)
    answer = await asking
    assert answer.status_code == 401
    assert "not the admin token" in answer.text
    assert "a-wrong-token-0001" not in answer.text


ELSEWHERE = ["//evil.example/", "https://evil.example", "/\\evil.example", "javascript:1", "/a\nb"]


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_signing_in_leads_nowhere_else(guarded: httpx.AsyncClient, target: str) -> None:
    """Whoever makes somebody sign in sends them to this page alone."""
    answer = await guarded.post("/sign-in", params={"next": target}, data={"token": TOKEN})
    assert answer.headers["location"] == "/"
