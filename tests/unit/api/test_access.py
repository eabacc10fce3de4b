"""Who may ask the API."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from support.clock import HandClock

from forwarder.api import Access
from forwarder.api.app import MOST_WAITING, WRONG_TOKEN_SECONDS

TOKEN = "a token of sixteen letters and more"
WITH_TOKEN = Access(TOKEN, listens_on_loopback=False)
ON_LOOPBACK = Access(None, listens_on_loopback=True)
ELSEWHERE = Access(None, listens_on_loopback=False)


def status(access: Access, method: str = "GET", **headers: str) -> int | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    denied = access.judge(method, {"host": "localhost:8080", **named})
    return None if denied is None else denied.status


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
    denied = WITH_TOKEN.judge("GET", {"host": "localhost"})
    assert denied is not None
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
