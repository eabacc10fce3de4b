"""Who may ask the API."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from support.clock import HandClock

from forwarder.api import Access, Admitted, Denied, Door
from forwarder.api.access import SESSION_COOKIE, SESSION_SECONDS
from forwarder.api.door import MOST_WAITING, WRONG_TOKEN_SECONDS

TOKEN = "a token of sixteen letters and more"
NOW = 1763461060.0
WITH_TOKEN = Access(TOKEN, listens_on_loopback=False)
ON_LOOPBACK = Access(None, listens_on_loopback=True)
ELSEWHERE = Access(None, listens_on_loopback=False)


def status(access: Access, method: str = "GET", **headers: str) -> int | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    verdict = access.judge(method, {"host": "localhost:8080", **named}, now=NOW)
    return verdict.status if isinstance(verdict, Denied) else None


def signed_in(access: Access = WITH_TOKEN, *, now: float = NOW) -> str:
    session = access.sign_in(TOKEN, "POST", {"host": "localhost:8080"}, now=now)
    assert isinstance(session, str)
    return f"{SESSION_COOKIE}={session}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer {TOKEN}", None),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer ", 401),
        ("", 401),
        ("Bearer \udcff", 401),
    ],
)
def test_only_the_token_opens(given: str, expected: int | None) -> None:
    """With an admin token its bearer is let in under any Host, and nobody else."""
    assert status(WITH_TOKEN, host="forwarder.example", authorization=given) == expected


def test_no_header_is_no_token() -> None:
    """Who shows nothing is told what to show."""
    denied = WITH_TOKEN.judge("GET", {"host": "localhost"}, now=NOW)
    assert isinstance(denied, Denied)
    assert "FORWARDER_ADMIN_TOKEN" in denied.detail
    assert denied.status == 401


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", None),
        ("localhost:8080", None),
        ("127.0.0.1:8080", None),
        ("[::1]:8080", None),
        ("attacker.example", 403),
        ("localhost.attacker.example", 403),
        ("127.0.0.1.nip.io", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_without_a_token_the_host_names_loopback(host: str, expected: int | None) -> None:
    """A name that merely leads to loopback is turned away: that is how DNS rebinding asks."""
    assert status(ON_LOOPBACK, host=host) == expected


def test_without_a_token_the_port_listens_on_loopback() -> None:
    """Where others reach the port, nobody is let in without a token."""
    assert status(ELSEWHERE) == 403


def test_the_public_url_is_a_name_of_ours() -> None:
    """What people reach it by counts as Host and as Origin."""
    access = Access(None, listens_on_loopback=True, public_url="https://forwarder.example")
    assert status(access, host="forwarder.example") is None
    assert status(access, "POST", origin="https://forwarder.example") is None


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:8080", None),
        ("http://attacker.example", 403),
        ("http://localhost:9090", 403),
        ("null", 403),
        ("", 403),
        ("http://[localhost", 403),
    ],
)
@pytest.mark.parametrize("access", [ON_LOOPBACK, WITH_TOKEN])
def test_a_foreign_origin_changes_nothing(
    access: Access, origin: str, expected: int | None
) -> None:
    """A page of somebody else's may not change anything, even where the browser adds what opens."""
    authorization = f"Bearer {TOKEN}"
    assert status(access, "POST", origin=origin, authorization=authorization) == expected
    assert status(access, "GET", origin=origin, authorization=authorization) is None


async def test_wrong_tokens_wait(
    open_api: Callable[..., httpx.AsyncClient], clock: HandClock
) -> None:
    """A wrong token waits a second for its answer, some of them at once; a right one never waits."""
    async with open_api(WITH_TOKEN) as api:
        wrong = [
            asyncio.create_task(api.get("/routes", headers={"authorization": "Bearer wrong"}))
            for _ in range(MOST_WAITING + 1)
        ]
        done, waiting = await asyncio.wait(wrong, return_when=asyncio.FIRST_COMPLETED)
        assert [one.result().status_code for one in done] == [429]

        right = await api.get("/routes", headers={"authorization": f"Bearer {TOKEN}"})
        assert right.status_code == 200
        clock.advance(WRONG_TOKEN_SECONDS)
        answers = [await one for one in waiting]
        assert {one.status_code for one in answers} == {401}
        assert all(one.headers["www-authenticate"].startswith("Bearer") for one in answers)
        assert TOKEN not in "".join(one.text for one in answers)


def test_a_session_opens_until_its_end() -> None:
    """Whoever signed in is let in with the cookie alone, for twelve hours, and by restarts."""
    cookie = signed_in()
    assert TOKEN not in cookie
    for later, expected in ((0, None), (SESSION_SECONDS - 1, None), (SESSION_SECONDS, 401)):
        verdict = WITH_TOKEN.judge("GET", {"cookie": f"a=b; {cookie}"}, now=NOW + later)
        assert (verdict.status if isinstance(verdict, Denied) else None) == expected
    assert WITH_TOKEN.judge("GET", {"cookie": cookie}, now=NOW) == Admitted("session")


def test_only_our_own_session_opens() -> None:
    """One that was prolonged, cut short, made up, or made with another token is turned away."""
    name, _, session = signed_in().partition("=")
    until, _, signature = session.partition(".")
    another = Access(TOKEN + "!", listens_on_loopback=False).sign_in(
        TOKEN + "!", "POST", {}, now=NOW
    )
    for forged in (
        f"{int(until) + 1}.{signature}",
        f"{until}.{signature[:-1]}",
        f"{until}.",
        f"+{until}.{signature}",
        f"{'9' * 4000}.{signature}",
        "\udcff.\udcff",
        "",
        str(another),
    ):
        assert status(WITH_TOKEN, cookie=f"{name}={forged}") == 401
    # A neighbouring name may plant a cookie, which does not shut anybody out.
    assert status(WITH_TOKEN, cookie=f"{name}=planted; {name}={session}") is None


def test_a_wrong_bearer_is_wrong_with_a_session_too() -> None:
    """Who shows a token is judged by it."""
    assert status(WITH_TOKEN, cookie=signed_in(), authorization="Bearer wrong") == 401


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://attacker.example"}, 403),
        ({"origin": "http://localhost:8080"}, None),
    ],
)
def test_with_a_cookie_a_change_tells_its_origin(
    origin: dict[str, str], expected: int | None
) -> None:
    """A browser sends the cookie by itself, so the page alone may have made it do so."""
    assert status(WITH_TOKEN, "POST", cookie=signed_in(), **origin) == expected


@pytest.mark.parametrize(
    ("token", "origin", "expected"),
    [
        (TOKEN, {}, None),
        (f" {TOKEN} ", {"origin": "http://localhost:8080"}, None),
        (TOKEN, {"origin": "http://attacker.example"}, 403),
        (f"{TOKEN}x", {}, 401),
        ("", {}, 401),
    ],
)
def test_people_sign_in_with_the_token(
    token: str, origin: dict[str, str], expected: int | None
) -> None:
    """The right token from our own page, and nothing else, begins a session."""
    came_to = WITH_TOKEN.sign_in(token, "POST", {"host": "localhost:8080", **origin}, now=NOW)
    assert (came_to.status if isinstance(came_to, Denied) else None) == expected


def test_without_a_token_nobody_signs_in() -> None:
    """There is nothing to sign in with, not even the empty text."""
    for token in ("", TOKEN):
        assert isinstance(ON_LOOPBACK.sign_in(token, "POST", {}, now=NOW), Denied)


@pytest.mark.parametrize("url", ["https://forwarder.example", "http://forwarder.example", None])
def test_the_cookie_is_for_this_page_alone(url: str | None, clock: HandClock) -> None:
    """No script reads it, no foreign page sends it, and where people come by TLS nothing else carries it."""
    door = Door(Access(TOKEN, listens_on_loopback=False, public_url=url), clock)
    for answer, set_it in ((Response(), True), (Response(), False)):
        if set_it:
            door.remember(answer, "1.a")
        else:
            door.forget(answer)
        parts = {one.strip().lower() for one in answer.headers["set-cookie"].split(";")}
        assert parts >= {"httponly", "samesite=strict", "path=/"}
        assert ("secure" in parts) == (url or "").startswith("https")
        assert f"max-age={SESSION_SECONDS if set_it else 0}" in parts


async def test_wrong_sign_ins_wait_as_wrong_bearers_do(clock: HandClock) -> None:
    """They share the places, and who signs in rightly waits for none of them."""
    door = Door(WITH_TOKEN, clock)
    asked = Request({"type": "http", "method": "POST", "headers": [(b"host", b"localhost")]})
    wrong = [asyncio.create_task(door.sign_in(asked, "wrong")) for _ in range(MOST_WAITING + 1)]
    done, waiting = await asyncio.wait(wrong, return_when=asyncio.FIRST_COMPLETED)
    assert [came_to.status for one in done if isinstance(came_to := one.result(), Denied)] == [429]
    assert isinstance(await door.sign_in(asked, TOKEN), str)
    clock.advance(WRONG_TOKEN_SECONDS)
    assert {isinstance(await one, Denied) for one in waiting} == {True}
