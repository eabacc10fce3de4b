"""What operators and partners come for: each at most three clicks away, by what is written on it."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, Route, expect
from support.clicks import clicks
from support.line import Line, topic_of
from support.receiver_policies import always
from support.service import eventually
from support.webhooks import OK, UNAVAILABLE, Answer

from forwarder.reading import Device

Look = Callable[..., Awaitable[Page]]
IS_STARVED = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
SOON_MS = 10_000 if IS_STARVED else 2_000
"""Within which an open page has to tell: two seconds are promised, on a machine that has them."""
NEXT_CHANGE = (
    "new Promise((told) => document.addEventListener('sse:state', () => told(), { once: true }))"
)
MOST_CLICKS = 3
IS_FULL = os.environ.get("PAGE") == "full"


@pytest.fixture
def backlog() -> int:
    """How many dead letters are replayed; PAGE=full has as many as a bad night leaves."""
    return 10_000 if IS_FULL else 300


async def test_was_this_devices_reading_of_that_minute_delivered(line: Line, look: Look) -> None:
    """The device, the minute and the endpoint into the one box; the delivery says when, where to, and what came."""
    await line.receiver("acme")
    await line.receiver("home", always(UNAVAILABLE))
    await line.start()
    device = line.fleet.devices[3]
    minute = datetime.now(UTC).astimezone(ZoneInfo("Europe/Zurich")).strftime("%H:%M")
    await line.publish(1, device=device)
    await line.service.settled("acme", lambda totals: totals.delivered == 1)
    page = await look("/")
    await page.get_by_role("link", name="Deliveries").click()
    box = page.get_by_role("searchbox", name="Search deliveries")
    await box.fill(f"acme {device} {minute}")
    await page.get_by_role("button", name="Search").click()
    rows = page.get_by_role("region", name="Deliveries").get_by_role("row")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(1)).to_contain_text("delivered")
    await rows.nth(1).get_by_role("link").click()
    drawer = page.get_by_role("complementary", name="The chosen delivery")
    await expect(drawer).to_contain_text("Attempt 1: 200")
    await expect(drawer).to_contain_text("dialled 127.0.0.1")
    await expect(drawer).to_contain_text("Bodies of delivered readings are not kept.")
    assert await clicks(page) <= MOST_CLICKS
    await page.keyboard.press("Escape")
    await expect(drawer).to_be_empty()
    await expect(rows.nth(1).get_by_role("link")).to_be_focused()


async def test_an_endpoint_goes_down_and_the_page_says_so(line: Line, look: Look) -> None:
    """Within two seconds, on every view, without a reload; and that it is well again."""
    acme = await line.receiver("acme")
    await line.start()
    await line.publish(1)
    await acme.until_count(1)
    page, other = await look("/"), await look("/devices")
    sentence = page.get_by_role("heading", level=1)
    await expect(sentence).to_have_text("All is well.")
    acme.policy = always(UNAVAILABLE)
    await line.publish(5)
    await line.service.logged("endpoint.opened")
    await expect(sentence).to_have_text("acme is failing; its readings wait.", timeout=SOON_MS)
    await expect(other.get_by_role("status")).to_contain_text("acme is failing", timeout=SOON_MS)
    assert await clicks(page) == 0
    acme.policy = always(OK)
    await line.service.logged("endpoint.recovered")
    await expect(sentence).to_have_text("All is well.", timeout=SOON_MS)


async def test_a_change_during_an_answer_is_told_too(line: Line, look: Look) -> None:
    """Also on a view that asks after changes alone: one that came while it was asking makes it ask once more."""
    receivers = {name: await line.receiver(name) for name in ("acme", "home")}
    await line.start()
    page = await look("/devices")
    told = page.get_by_role("status")
    await expect(told).to_contain_text("All is well.")
    is_asking, may_be_answered = asyncio.Event(), asyncio.Event()

    async def answer(route: Route) -> None:
        answer = await route.fetch()
        is_asking.set()
        await may_be_answered.wait()
        await route.fulfill(response=answer)

    await page.route(lambda url: urlsplit(url).path == "/", answer)
    receivers["acme"].policy = always(UNAVAILABLE)
    await line.publish(5)
    await is_asking.wait()
    change = asyncio.create_task(page.evaluate(NEXT_CHANGE))
    receivers["home"].policy = always(UNAVAILABLE)
    await line.publish(5)
    await change
    may_be_answered.set()
    await expect(told).to_contain_text("acme and home are failing")


async def test_dead_letters_are_replayed_and_seen_to_go(
    line: Line, look: Look, backlog: int
) -> None:
    """The page says how many first; then they are delivered, and the open page counts along."""
    acme = await line.receiver("acme", always(Answer(422)))
    await line.start()
    await line.publish(backlog)
    await line.service.settled("acme", lambda totals: totals.dead == backlog)
    page = await look("/")
    await page.get_by_role("link", name="acme").click()
    await page.get_by_text("Replay…").click()
    await expect(page.get_by_text(f"{backlog:,} dead letters go out again, each")).to_be_visible()
    acme.policy = always(OK)
    await page.get_by_role("button", name=f"Replay {backlog:,}").click()
    assert await clicks(page) <= MOST_CLICKS
    await expect(page.get_by_text(f"{backlog:,} dead letters go out again.")).to_be_visible()
    delivered = page.get_by_role("definition").first
    if IS_FULL:
        await expect(delivered).to_have_text(re.compile(r"^(?!0$|10,000$)[\d,]+$"))
    await line.service.settled("acme", lambda totals: totals.delivered == backlog)
    await expect(delivered).to_have_text(f"{backlog:,}")
    await expect(page.get_by_text("None: everything that acme was owed")).to_be_visible()


async def test_why_does_this_device_get_nothing(line: Line, look: Look) -> None:
    """A device that reports and goes nowhere says why."""
    await line.receiver("acme", devices=["ECC9FF5C0001"])
    await line.start()
    await line.publish(1)
    await eventually(partial(_is_known, line), what="the device's record")
    page = await look("/")
    await page.get_by_role("link", name="Devices").click()
    await page.get_by_role("link", name="Unrouted").click()
    await page.get_by_role("row").filter(has_text="unrouted").get_by_role("link").click()
    await expect(page.get_by_text("Nobody gets its readings, because no endpoint")).to_be_visible()
    assert await clicks(page) <= MOST_CLICKS


async def _is_known(line: Line) -> bool:
    return "unrouted" in (await line.service.command("devices")).stdout


async def test_what_is_in_quarantine_and_would_it_be_understood(line: Line, look: Look) -> None:
    """Bytes, reason, and today's reading of it; nothing goes before the word is typed."""
    await line.receiver("acme")
    await line.start()
    odd = Device("<img src=x onerror=alert(1)>")
    await line.publish_messages([(topic_of(odd), b"<b>no json</b>")])
    await line.service.counted("quarantined", 1)
    page = await look("/")
    await page.get_by_role("link", name="Quarantine", exact=True).click()
    await page.get_by_role("link", name="not_json").click()
    await expect(page.get_by_text("It would still not be understood: not_json")).to_be_visible()
    await expect(page.get_by_label("As text")).to_have_text("<b>no json</b>")
    assert await clicks(page) <= MOST_CLICKS
    await page.get_by_text("Discard…").click()
    await page.get_by_label("Type discard to go on").fill("discard")
    await page.get_by_role("button", name="Discard it").click()
    await expect(page.get_by_text("Nothing is in quarantine")).to_be_visible()


async def test_a_link_is_shared_and_revoked(line: Line, look: Look) -> None:
    """Its people see one endpoint and nothing else, until the link is revoked."""
    acme, home = await line.receiver("acme"), await line.receiver("home")
    await line.start()
    await line.publish(3)
    await acme.until_count(3)
    await home.until_count(3)
    page = await look("/")
    await page.get_by_role("link", name="acme").click()
    await page.get_by_role("button", name="Share").click()
    url = await page.get_by_label("The link", exact=True).inner_text()
    stranger = await look(url)
    await expect(stranger.get_by_role("heading", level=1)).to_contain_text("acme")
    await stranger.get_by_role("row").nth(1).get_by_role("link").click()
    await expect(stranger.get_by_text("Attempt 1: 200")).to_be_visible()
    assert "home" not in await stranger.content()
    await page.get_by_role("button", name="Revoke the link").click()
    await expect(page.get_by_text("The link is revoked")).to_be_visible()
    assert await clicks(page) <= MOST_CLICKS
    answer = await stranger.request.get(url)
    assert answer.status == 404
    assert "acme" not in await answer.text()
