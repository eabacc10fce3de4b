"""Endpoint, deliveries, devices, quarantine: what each says, and what its buttons do."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import httpx
import pytest
from support.outbox_builder import BERN, NOW, ZURICH, OutboxBuilder, attempt
from support.transports import AnyReceiver

from forwarder.reading import Device

Read = Callable[..., Awaitable[str]]


async def test_an_endpoint_says_who_it_gets_and_why(read: Read, built: OutboxBuilder) -> None:
    """By the routing file; one that there is not is said to be none."""
    assert "Every device" in await read("/endpoints/acme")
    assert "Group zurich 1 device" in await read("/endpoints/home")
    assert "There is no endpoint nobody" in await read("/endpoints/nobody", status=404)


async def test_pause_and_resume(page: httpx.AsyncClient, read: Read, built: OutboxBuilder) -> None:
    """Each leads back to the endpoint, which says what was done."""
    answer = await page.post("/endpoints/acme/pause")
    assert answer.status_code == 303
    words = await read(answer.headers["location"])
    assert "Paused: nothing more is sent" in words
    assert "paused by operator" in words
    answer = await page.post("/endpoints/acme/resume")
    assert "It goes on" in await read(answer.headers["location"])


async def test_replay_says_how_many_first(
    page: httpx.AsyncClient, read: Read, built: OutboxBuilder
) -> None:
    """And only those of its endpoint go out again."""
    built.dead_letters(3, "acme")
    kept = built.delivery("home", "dead")
    assert "3 dead letters go out again" in await read("/endpoints/acme")
    answer = await page.post("/endpoints/acme/replay")
    assert "3 dead letters go out again." in await read(answer.headers["location"])
    assert built.accounts("acme")["pending"] == 3
    assert "dead, refused" in await read(f"/deliveries?q={kept}")


async def test_a_test_shows_its_answer_in_place(
    page: httpx.AsyncClient, receiver: AnyReceiver
) -> None:
    """Status, time and the start of what came back."""
    receiver.status, receiver.answer = 503, b"<b>we are closed</b>"
    text = (await page.post("/endpoints/acme/test")).text
    assert "acme answered 503" in text
    assert "&lt;b&gt;we are closed&lt;/b&gt;" in text
    assert len(receiver.received) == 1


CHANGES = [
    "/endpoints/acme/pause",
    "/endpoints/acme/replay",
    "/endpoints/acme/test",
    "/dead-letters/replay",
    "/quarantine/replay",
    "/quarantine/discard",
]


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
async def test_nobody_elses_form_changes_anything(
    page: httpx.AsyncClient,
    built: OutboxBuilder,
    receiver: AnyReceiver,
    path: str,
    origin: str | None,
) -> None:
    """A form has to come from this page (CSRF); a GET changes nothing either."""
    built.delivery("acme", "dead")
    message = built.quarantine()
    headers = {} if origin is None else {"origin": origin}
    request = page.build_request("POST", path, data={"typed": "discard", "id": str(message)})
    request.headers.pop("origin")
    request.headers.update(headers)
    assert (await page.send(request)).status_code == 403
    assert (await page.get(path)).status_code in (400, 404, 405)
    assert built.accounts("acme")["dead"] == 1
    assert receiver.received == []
    assert built.rows("SELECT count(*) FROM quarantine") == [(1,)]


async def test_was_it_delivered(read: Read, built: OutboxBuilder) -> None:
    """The search narrows down, the list says it, the file has every attempt and what comes next."""
    ident = built.delivery("acme", "delivered")
    other = built.delivery("home", "pending", device=BERN)
    words = await read(f"/deliveries?q={quote('acme ' + ZURICH)}")
    assert "delivered" in words
    assert BERN not in words
    words = await read(f"/deliveries/{ident}")
    assert "Attempt 1: 204 after 12.5 ms" in words
    assert "Bodies of delivered readings are not kept." in words
    assert "It waits for its turn" in await read(f"/deliveries/{other}")


async def test_a_dead_letter_has_its_attempts_and_its_body(
    page: httpx.AsyncClient, read: Read, built: OutboxBuilder
) -> None:
    """What came back, the body with the digits as they came, and it can be sent again."""
    attempts = (attempt(1, status=503, error="http_503", answer=b"busy"), attempt(2))
    ident = built.delivery("acme", "dead", attempts=attempts)
    words = await read(f"/deliveries/{ident}?endpoint=acme")
    assert "Attempt 1: 503" in words
    assert "busy" in words
    assert "The receiver refused it for good." in words
    assert '"active_power_import_kw":7.8490' in words
    assert f"webhook-id: {ident}" in words
    answer = await page.post("/dead-letters/replay", data={"id": ident, "endpoint": "acme"})
    assert "1 dead letter goes out again." in await read(answer.headers["location"])


async def test_what_the_box_does_not_understand_is_said(read: Read) -> None:
    words = await read("/deliveries?q=acne")
    assert "“acne” is no endpoint" in words
    assert "Nothing was looked for" in words


async def test_older_ones_are_a_click_away(page: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """A list that goes on keeps what was looked for."""
    for _ in range(51):
        built.delivery("acme", "delivered")
    first = (await page.get("/deliveries?q=acme&zone=UTC")).text
    second = (await page.get(_onwards(first))).text
    assert first.count('scope="row"') == 50
    assert second.count('scope="row"') == 1
    assert 'value="acme"' in second


async def test_a_list_in_parts_is_looked_through_to_its_end(
    page: httpx.AsyncClient, built: OutboxBuilder
) -> None:
    """A part in which nothing fits says so and leads further; only the last part may say that there is none."""
    built.delivery("acme", "delivered")
    for _ in range(61):
        built.delivery("home", "delivered")
    made = (await page.post("/endpoints/acme/share", data={"for": "1d"})).text
    link = "/share/" + made.split("/share/")[1].split("<")[0]
    for path in ("/deliveries?q=acme", link):
        first = (await page.get(path)).text
        assert "No delivery fits among the 60 that were looked through." in first
        assert first.count('class="empty"') == 1
        assert (await page.get(_onwards(first))).text.count('scope="row"') == 1
    first = (await page.get("/deliveries?q=dead")).text
    assert "No older delivery fits." in (await page.get(_onwards(first))).text


def _onwards(text: str) -> str:
    return text.split('class="onwards"><a href="')[1].split('"')[0].replace("&amp;", "&")


async def test_why_a_device_gets_nothing(read: Read, built: OutboxBuilder) -> None:
    """Unrouted, unreadable, never heard of, or held back: a sentence each."""
    assert "never heard of" in await read("/devices/ECC9FF5C0001")
    built.quarantine(device=BERN)
    assert "none of them could be understood" in await read(f"/devices/{BERN}")


async def test_quarantine_shows_bytes_and_what_it_would_be_today(
    page: httpx.AsyncClient, read: Read, built: OutboxBuilder
) -> None:
    """What is understood by now goes out; nothing is erased before the word is typed."""
    good = built.quarantine(b'{"sys_id": "ECC9FF5C7AD4", "P_In": 1.2340}')
    bad = built.quarantine(b"\xff\x00 no text")
    words = await read(f"/quarantine/{good}")
    assert "active_power_import_kw: 1.234" in words
    words = await read(f"/quarantine/{bad}")
    assert "would still not be understood" in words
    assert "000000 ff 00 20 6e" in words
    answer = await page.post("/quarantine/discard", data={"id": str(bad), "typed": "yes"})
    assert answer.status_code == 400
    assert "Nothing was erased" in answer.text
    answer = await page.post("/quarantine/replay", data={"id": str(good)})
    assert "1 message understood today" in await read(answer.headers["location"])
    answer = await page.post("/quarantine/discard", data={"typed": "Discard "})
    words = await read(answer.headers["location"])
    assert "1 message erased." in words
    assert "Nothing is in quarantine" in words


async def test_empty_views_say_so(read: Read) -> None:
    """No view is a blank."""
    assert "Nothing has come in yet." in await read("/deliveries")
    assert "No delivery fits." in await read("/deliveries?q=dead")
    assert "No device is silent" in await read("/devices?only=silent")
    assert "Nothing is in quarantine" in await read("/quarantine")
    assert "None: everything that acme was owed" in await read("/endpoints/acme")


async def test_odd_names_have_views_of_their_own(read: Read, built: OutboxBuilder) -> None:
    """A device may be called anything that a topic level can be."""
    odd = Device("a b?c#d%2f&é")
    built.delivery("acme", "pending", device=odd)
    built.quarantine(device=odd, received_at=NOW)
    assert odd in await read(f"/devices/{quote(odd, safe='')}")
    assert odd in await read("/devices")
