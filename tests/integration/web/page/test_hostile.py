"""What others have written is shown as it is, and never becomes markup."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment
from support.outbox_builder import NOW, ZURICH, OutboxBuilder, attempt

from forwarder.delivery import Bury
from forwarder.reading import Device
from forwarder.web.page.app import templates

MARKUP = "</td><script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=alert(1)>"
HOSTILE = st.one_of(
    st.text(min_size=1, max_size=60),
    st.sampled_from([MARKUP, "{{ 7*7 }}", "{% raw %}", "javascript:alert(1)", "]]>", "\u202e\x00"]),
)


class Tags(HTMLParser):
    """The markup of a page, as a browser would see it."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))


@pytest.fixture(scope="module")
def environment() -> Environment:
    return templates()


def _message(text: str) -> dict[str, Any]:
    one = {
        "id": 7, "device": text, "topic": text, "reason": text, "detail": text, "size": 9,
        "kept_bytes": 9, "received_at": "2025-11-18T10:17:40Z",
    }  # fmt: skip
    said = {"level": "warning", "text": text}
    return {
        "title": text, "typed": text, "one": one, "text": text, "bytes": text, "is_cut": True,
        "reading": text, "still": None, "word": "discard", "said": said, "here": text, "now": NOW,
        "section": "/quarantine", "has_session": True, "did": text,
    }  # fmt: skip


@given(text=HOSTILE)
def test_no_text_changes_the_markup(environment: Environment, text: str) -> None:
    """Whatever stands in a topic, a name, a payload or an address: the tags stay the same."""
    template = environment.get_template("message_file.html")
    plain, odd = (Tags(template.render(_message(one))).tags for one in ("plain", text))
    assert odd == plain


@given(text=HOSTILE)
def test_a_sentence_is_no_markup_either(environment: Environment, text: str) -> None:
    """What goes wrong may quote what was asked for."""
    template = environment.get_template("message.html")
    plain, odd = (Tags(template.render(title=one, sentence=one)).tags for one in ("plain", text))
    assert odd == plain


async def test_names_answers_and_payloads_are_shown_as_they_are(
    page: httpx.AsyncClient, built: OutboxBuilder
) -> None:
    """In every view that shows what a device, a receiver or a payload said."""
    odd = Device(MARKUP.replace("/", "").replace("#", "").replace("+", ""))
    last = attempt(1, answer=MARKUP.encode(), detail="")
    ident = built.delivery("acme", "dead", device=odd, attempts=(last,))
    number = built.quarantine(MARKUP.encode(), device=odd)
    paths = ["/", "/endpoints/acme", "/devices", "/deliveries", "/quarantine"]
    paths += [f"/deliveries/{ident}", f"/quarantine/{number}"]
    for path in [*paths, f"/deliveries?q={MARKUP}", f"/endpoints/{odd}", f"/devices?only={odd}"]:
        text = (await page.get(path)).text
        found = Tags(text).tags
        assert [one for one in found if any(name.startswith("on") for name in one[1])] == [], path
        assert [attrs for tag, attrs in found if tag == "script" and "src" not in attrs] == [], path
        assert ("img", ("src", "onerror")) not in found, path


SHARED_WORDS = ("home", "Endpoints", "Quarantine", "broker", "active_power", "Replay", "h.example")


@pytest.fixture
async def link(page: httpx.AsyncClient, built: OutboxBuilder) -> str:
    """The path of a link to acme, beside an endpoint that gets the same readings."""
    number = built.reading("acme", "home")
    built.settle(number, "home", Bury("refused"))
    built.delivery("acme", "dead")
    text = (await page.post("/endpoints/acme/share", data={"for": "1d"})).text
    return "/share/" + text.split("/share/")[1].split("<")[0]


async def test_a_link_shows_one_endpoint_and_nothing_else(
    open_page: Callable[..., httpx.AsyncClient], link: str, built: OutboxBuilder
) -> None:
    """For any Host and without a token, its people see what is theirs, also of a reading that others get."""
    async with open_page(base="http://partner.example") as stranger:
        overview = await stranger.get(link)
        assert overview.status_code == 200
        assert "acme" in overview.text
        assert (await stranger.get("/")).status_code == 403
        for path in ["/" + one.split('"')[0] for one in overview.text.split('href="/')[1:]]:
            answer = await stranger.get(path)
            assert answer.status_code == 200, path
            if path.startswith("/share/"):
                assert [word for word in SHARED_WORDS if word in answer.text] == []
        other = built.delivery("home", "delivered")
        foreign = await stranger.get(f"{link}/deliveries/{other}")
        assert foreign.status_code == 404
        assert "home" not in foreign.text


async def test_a_revoked_link_shows_nothing(page: httpx.AsyncClient, link: str) -> None:
    """It is as if it had never been, and so is one that never was."""
    identity = link.removeprefix("/share/").partition(".")[0]
    answer = await page.post(f"/endpoints/acme/shares/{identity}/revoke")
    assert "The link is revoked" in (await page.get(answer.headers["location"])).text
    revoked, invented = await page.get(link), await page.get("/share/0123456789.abc")
    assert revoked.status_code == invented.status_code == 404
    assert revoked.text == invented.text
    assert ZURICH not in revoked.text
