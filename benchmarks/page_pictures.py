"""
The pictures of the page in the docs: a real run, and what a browser shows at its end.

    .venv/bin/python benchmarks/page_pictures.py [--minutes 65] [--folder docs/images]

mosquitto, the forwarder and three receivers run for so long, so the curves are of the readings that are counted beside
them: devices report more in the middle of the run, one endpoint is down for a while before its end, some readings are
refused, some messages cannot be understood. With --dark the pictures are of the dark theme.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count as count_from
from pathlib import Path

from playwright.async_api import Page, async_playwright

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from support.line import Line, a_line, topic_of  # noqa: E402 - found by the line above
from support.webhooks import OK, UNAVAILABLE, Answer, Post  # noqa: E402 - as above

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 120_000
ACME_DEVICES, DEVICES = 12, 40
RETRY = {"initial": "5s", "max": "1m"}
REFUSED_EACH = 397
"""One reading in so many is refused by the receiver of archive."""
UNREADABLE_EACH = 300
DOWN_PART = 0.05
"""Of the run, at its end, for which home is down."""
REFUSED = Answer(422)


async def run(line: Line, seconds: float) -> None:
    """Readings at a pace that rises and falls, with what goes wrong on such a day."""
    line.fleet.size = DEVICES
    devices = [str(one) for one in line.fleet.devices]
    await line.receiver("acme", devices=devices[:ACME_DEVICES], retry=RETRY)
    home = await line.receiver("home", devices=devices[ACME_DEVICES:], retry=RETRY)
    archive = await line.receiver("archive", retry=RETRY)
    archive.policy = _refusing_some
    await line.start()
    began, rounds, numbers = time.monotonic(), 0, count_from(1)
    while (passed := time.monotonic() - began) < seconds:
        rounds += 1
        count = 3 + round(2 * math.sin(passed / seconds * math.pi) + rounds % 2)
        await line.publish_messages([_reading(line, next(numbers)) for _ in range(count)])
        if rounds % UNREADABLE_EACH == 0:
            await line.publish_messages([(topic_of(line.fleet.devices[3]), b'{"P_In": 1.2,')])
        if passed > seconds * (1 - DOWN_PART):
            home.policy = lambda _: UNAVAILABLE
        await asyncio.sleep(max(0.0, began + rounds - time.monotonic()))


def _reading(line: Line, number: int) -> tuple[str, bytes]:
    """Measured now, by the next device."""
    device = line.fleet.devices[number % DEVICES]
    content = {"sys.id": device, "timestamp": time.time(), "1_7_0": 1.036, "number": number}
    return topic_of(device), json.dumps(content).encode()


def _refusing_some(post: Post) -> Answer:
    return REFUSED if post.number % REFUSED_EACH == 0 else OK


@asynccontextmanager
async def browsing(address: str, theme: str) -> AsyncIterator[Callable[..., object]]:
    """Opens a view in a window of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], timeout=PATIENCE_MS
        )
        context = await browser.new_context(
            base_url=f"http://{address}", color_scheme=theme, locale="en-GB",  # type: ignore[arg-type] # one of two
            timezone_id="Europe/Zurich", viewport={"width": 1280, "height": 900},
        )  # fmt: skip

        context.set_default_timeout(PATIENCE_MS)

        async def look(path: str) -> Page:
            page = await context.new_page()
            await page.goto(path)
            return page

        yield look
        await browser.close()


async def take(address: str, folder: Path, theme: str, suffix: str) -> None:
    async with browsing(address, theme) as look:
        for name, path in (("line", "/"), ("endpoint", "/endpoints/home")):
            page = await look(path)
            await page.screenshot(path=folder / f"page-{name}{suffix}.png")
        page = await look("/deliveries?q=archive+state:dead")
        rows = page.get_by_role("region", name="Deliveries").get_by_role("row")
        await rows.nth(1).get_by_role("link").click()
        await page.get_by_role("complementary").get_by_text("Attempt 1").wait_for()
        await page.screenshot(path=folder / f"page-deliveries{suffix}.png")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--minutes", type=float, default=65)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--dark", type=Path, help="a folder for the same in the dark theme")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with a_line(Path(folder)) as line:
            await run(line, given.minutes * 60)
            await take(line.service.address, given.folder, "light", "")
            if given.dark:
                await take(line.service.address, given.dark, "dark", "-dark")


if __name__ == "__main__":
    asyncio.run(main())
