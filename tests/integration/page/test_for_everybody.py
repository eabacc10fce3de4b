"""The page for everybody: no rule of axe is broken, all is done by keyboard, and a telephone is wide enough."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from support.line import Line, topic_of
from support.receiver_policies import always
from support.webhooks import UNAVAILABLE, Answer

AXE = Path(__file__).parents[2] / "fixtures" / "axe" / "axe.min.js"
"""axe-core 4.14.1 (MPL 2.0), as npm has it."""
TOKEN = "an-admin-token-9b41c7"
Look = Callable[..., Awaitable[Page]]
_VIOLATIONS = """async () => (await axe.run()).violations.map(
    (one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`)"""

_LINES_OF_A_COUNT = """(one) => {
    one.insertAdjacentHTML("afterend", `<dl class="pairs">
        <div><dt>the connection was refused</dt><dd>12,345,678</dd></div></dl>`);
    const range = document.createRange();
    range.selectNodeContents(one.parentElement.querySelector("dd"));
    return range.getClientRects().length;
}"""
"""A minute has to be over before there are any: what the template writes stands here for them."""


@pytest.fixture
async def views(line: Line, look: Look) -> list[str]:
    """Paths of every view, of a line on which something of everything has happened."""
    await line.receiver("acme")
    await line.receiver("home", always(UNAVAILABLE))
    await line.receiver("billing", always(Answer(422)))
    line.service.settings["FORWARDER_PUBLIC_URL"] = f"http://{line.service.address}"
    await line.start()
    await line.publish(12)
    await line.publish_messages([(topic_of(line.fleet.devices[0]), b"no json")])
    await line.service.counted("quarantined", 1)
    await line.service.settled("billing", lambda totals: totals.dead == 12)
    await line.service.settled("home", lambda totals: totals.health.is_open)
    shared = (await line.service.command("endpoints", "share", "acme")).stdout.strip()
    ident = next(iter(line.fleet.issued.values()))[0]
    device = line.fleet.devices[0]
    shared_path = "/share/" + shared.rpartition("/")[2]
    return [
        "/", "/endpoints", "/endpoints/billing", "/endpoints/home", "/devices", f"/devices/{device}",
        "/deliveries", "/deliveries?q=bogus", f"/deliveries/{ident}", "/quarantine", "/quarantine/1",
        shared_path, f"{shared_path}/deliveries/{ident}", "/nothing",
    ]  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_no_rule_of_axe_is_broken(
    line: Line, look: Look, views: list[str], theme: str
) -> None:
    """In every view, at both widths, and with what can be opened open."""
    page = await look("/", color_scheme=theme, bypass_csp=True)
    found: dict[str, list[str]] = {}
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 900})
        for path in views:
            if path == "/nothing":
                continue
            await page.goto(path)
            for part in await page.locator("details").all():
                await part.evaluate("(one) => { one.open = true; }")
            await page.add_script_tag(path=AXE)
            if broken := await page.evaluate(_VIOLATIONS):
                found[f"{path} {width}"] = broken
    assert found == {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_no_rule_of_axe_is_broken_where_people_sign_in(
    line: Line, look: Look, theme: str
) -> None:
    """At both widths, before and after a token that is not right."""
    line.service.settings["FORWARDER_ADMIN_TOKEN"] = TOKEN
    await line.receiver("acme")
    await line.start()
    page = await look("/endpoints", color_scheme=theme, bypass_csp=True)
    await expect(page.get_by_label("Admin token")).to_be_focused()
    wrong = await page.request.post(
        "/sign-in",
        form={"token": TOKEN[::-1]},
        headers={"origin": f"http://{line.service.address}"},
    )
    found: dict[str, list[str]] = {}
    for what, text in (("asked", await page.content()), ("wrong", await wrong.text())):
        await page.set_content(text)
        await expect(page.get_by_role("alert")).to_have_count(int(what == "wrong"))
        for width in (1280, 390):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.add_script_tag(path=AXE)
            if broken := await page.evaluate(_VIOLATIONS):
                found[f"{what} {width}"] = broken
    assert found == {}


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_count_of_answers_stays_on_one_line(line: Line, look: Look, width: int) -> None:
    """However large it is: half a number is another one."""
    await line.receiver("acme")
    await line.start()
    page = await look("/endpoints/acme", viewport={"width": width, "height": 900})
    heading = page.get_by_role("heading", name="Answers")
    lines = 0
    while (
        not lines
    ):  # none where the view was told anew meanwhile, and this heading is no part of it any more
        lines = await heading.evaluate(_LINES_OF_A_COUNT)
    assert lines == 1


async def test_a_telephone_is_wide_enough(look: Look, views: list[str]) -> None:
    """Nothing makes a reader scroll sideways."""
    page = await look("/", viewport={"width": 390, "height": 800})
    for path in views[:-1]:
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path


async def test_it_works_without_javascript(look: Look, views: list[str]) -> None:
    """Views, the search, and what buttons do."""
    page = await look("/endpoints/home", java_script_enabled=False)
    await page.get_by_text("Pause…").click()
    await page.get_by_role("button", name="Pause home").click()
    await expect(page.get_by_text("paused by operator").first).to_be_visible()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_text("It goes on")).to_be_visible()
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.get_by_text("home answered 503")).to_be_visible()
    await page.goto("/deliveries")
    await page.get_by_role("searchbox").fill("billing dead")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("row").nth(1).get_by_role("link").click()
    await expect(page.get_by_text("The receiver refused it for good.")).to_be_visible()


async def test_the_keyboard_alone_is_enough(look: Look, views: list[str]) -> None:
    """The first key skips to the content, `/` goes to the search, Enter opens and Escape closes."""
    page = await look("/deliveries")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await page.keyboard.type("billing dead")
    await page.keyboard.press("Enter")
    link = page.get_by_role("row").nth(1).get_by_role("link")
    await link.focus()
    await page.keyboard.press("Enter")
    drawer = page.get_by_role("complementary", name="The chosen delivery")
    await expect(drawer).to_contain_text("Attempt 1: 422")
    await page.keyboard.press("Escape")
    await expect(link).to_be_focused()


async def test_times_are_the_readers(look: Look, views: list[str]) -> None:
    """In the reader's zone, with UTC in the title."""
    page = await look(views[8], timezone_id="Asia/Tokyo")
    time = page.get_by_text("Received").first.locator("..").get_by_role("time")
    title, shown = await time.get_attribute("title"), await time.inner_text()
    assert title is not None
    assert title.endswith(" UTC")
    hour = (int(title[11:13]) + 9) % 24
    assert f" {hour:02d}:" in shown
