import asyncio
from typing import Any

import httpx
import pytest
import respx
from support.posting import BODY, endpoint_at

from forwarder.routes.model import BearerAuth
from forwarder.sender import PooledTransport, client_for
from forwarder.sender.answer import MAX_BODY_BYTES, Answer
from forwarder.sender.connection import Connection, OnLost
from forwarder.sender.failure import TransportFailure
from forwarder.sender.request import USER_AGENT, Origin

URL = "https://hooks.example/in?token=s3cret-s3cret"


@pytest.fixture
def router() -> respx.Router:
    return respx.Router(assert_all_called=False)


def client_at(router: respx.Router, **changes: Any) -> httpx.AsyncClient:
    """A client whose other end is the router, in place of the transport."""
    handled = httpx.MockTransport(router.async_handler)
    return client_for(endpoint_at(URL, **changes), transport_for=lambda _: handled)


async def test_request_carries_what_a_delivery_carries(router: respx.Router) -> None:
    """The endpoint's header fields and credentials, our name, and nothing that httpx adds by itself."""
    route = router.post(URL).respond(204)
    changes = {"headers": (("X-Tenant", "7"), ("Host", "theirs")), "auth": BearerAuth("abc")}
    async with client_at(router, **changes) as client:
        await client.post(URL, content=BODY, headers={"webhook-id": "msg_1"})
    request = route.calls.last.request
    assert request.content == BODY
    assert sorted(request.headers.multi_items()) == [
        ("accept-encoding", "identity"),
        ("authorization", "Bearer abc"),
        ("content-length", str(len(BODY))),
        ("host", "hooks.example"),
        ("user-agent", USER_AGENT),
        ("webhook-id", "msg_1"),
        ("x-tenant", "7"),
    ]


async def test_answer_tells_no_secret(router: respx.Router) -> None:
    """What the endpoint was told in confidence is hidden in the body and in each header field."""
    echo = "it was t0ken-t0ken and s3cret-s3cret"
    router.post(URL).respond(401, content=echo.encode(), headers={"x-echo": echo})
    async with client_at(router, auth=BearerAuth("t0ken-t0ken")) as client:
        response = await client.post(URL)
    assert (response.text, response.headers["x-echo"]) == ("it was *** and ***",) * 2


async def test_answer_is_cut_as_a_delivery_s_is(router: respx.Router) -> None:
    """The first 4 KiB are kept; their end may belong to a secret."""
    router.get(URL).respond(200, content=b"x" * 10_000)
    async with client_at(router) as client:
        response = await client.get(URL)
    assert response.content == b"x" * (MAX_BODY_BYTES - 24) + b"***"


@pytest.mark.parametrize("location", ["https://elsewhere.example/", "http://[", "\x80"])
async def test_redirect_is_an_answer(router: respx.Router, location: str) -> None:
    """It is not followed, and a malformed one is no error."""
    elsewhere = router.route(host="elsewhere.example").respond(200)
    fields = [(b"location", location.encode("latin-1"))]
    router.post(URL).mock(return_value=httpx.Response(302, headers=fields))
    async with client_at(router) as client:
        response = await client.post(URL)
    assert (response.status_code, response.next_request, elsewhere.called) == (302, None, False)


async def test_cookie_is_not_kept(router: respx.Router) -> None:
    """One request tells nothing of the last."""
    route = router.post(URL).respond(200, headers={"set-cookie": "a=b"})
    async with client_at(router) as client:
        for _ in range(2):
            await client.post(URL)
    assert "cookie" not in route.calls.last.request.headers


class Recorder(PooledTransport):
    """A transport that keeps the deadlines it was given, and answers 200."""

    def __init__(self) -> None:
        super().__init__(Origin("https", "hooks.example", 443), self.no_dial, max_connections=1)
        self.deadlines: list[float] = []

    async def no_dial(self, *, deadline: float, on_lost: OnLost) -> Connection:
        raise AssertionError

    async def exchange(self, request: bytes, *, deadline: float) -> Answer:
        self.deadlines.append(deadline)
        answer = Answer()
        answer.status = 200
        return answer


async def test_timeout_is_one_deadline() -> None:
    """The endpoint's own unless a request has another, of httpx's four the longest; never none."""
    recorder, now = Recorder(), asyncio.get_running_loop().time()
    endpoint = endpoint_at(URL, timeout_seconds=1_000_000.0)
    async with client_for(endpoint, transport_for=lambda _: recorder) as client:
        await client.post(URL)
        await client.post(URL, timeout=httpx.Timeout(1.0, read=2_000_000.0))
        await client.post(URL, timeout=None)
    lasting = [round(deadline - now, -5) for deadline in recorder.deadlines]
    assert lasting == [1_000_000.0, 2_000_000.0, 0.0]


@pytest.mark.parametrize("url", ["https://\x00/", "https://\ud800/"])
async def test_url_that_is_none_is_a_failure_of_transport(router: respx.Router, url: str) -> None:
    """Whoever asks has one kind of error to expect, and it quotes no URL."""
    async with client_at(router) as client:
        with pytest.raises(TransportFailure) as failed:
            await client.post(url)
    assert (failed.value.word, failed.value.detail) == ("protocol", "its URL is not valid")
