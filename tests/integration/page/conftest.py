"""A browser in front of the real process, with mosquitto behind it and receivers beside it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from support.clicks import count_clicks
from support.line import Line, a_line

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 20_000


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with a_line(tmp_path) as line:
        yield line
    assert [part for part in line.service.output.split("\n") if "http.broke" in part] == []


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        await browser.close()


Look = Callable[..., Awaitable[Page]]


@pytest.fixture
async def look(browser: Browser, line: Line) -> AsyncIterator[Look]:
    """Opens a view as a reader does; whatever the browser complains of is a failure."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    async def look(path: str = "/", **settings: object) -> Page:
        base = f"http://{line.service.address}"
        zone = {"timezone_id": "Europe/Zurich", "locale": "en-GB"}
        context = await browser.new_context(base_url=base, **{**zone, **settings})  # type: ignore[arg-type] # its many options
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        await count_clicks(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda said: complaints.append(said.text) if said.type == "error" else None
        )
        await page.goto(path)
        return page

    yield look
    for context in contexts:
        await context.close()
    assert complaints == []
