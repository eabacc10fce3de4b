"""OAuth 2.0 client credentials, against a token server that Authlib builds."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from support.posting import BODY, endpoint_at, post
from support.receiver import answering, receiving
from support.token_server import CLIENT_ID, CLIENT_SECRET, TokenServer, serving_tokens

from forwarder.delivery import Accepted, Failed
from forwarder.routes.model import AuthMethod, Endpoint, EndpointName, OAuth2
from forwarder.sender import Guard, Sender, Tokens, pooled_transports
from forwarder.sender.failure import TransportFailure
from forwarder.sender.tokens import NEW_SECONDS


@dataclass
class HandMonotonic:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with serving_tokens() as server:
        yield server


@pytest.fixture
def clock() -> HandMonotonic:
    return HandMonotonic()


@asynccontextmanager
async def authorized(clock: HandMonotonic, *, guard: Guard | None = None) -> AsyncIterator[Sender]:
    transports = pooled_transports(guard=guard)
    tokens = Tokens(transports, monotonic=clock, spread=lambda low, _: low)
    sender = Sender(transports, tokens=tokens)
    yield sender
    await sender.aclose()


def endpoint(server: TokenServer, name: str = "acme", **changes: object) -> Endpoint:
    auth = OAuth2(
        server.token_url, CLIENT_ID, CLIENT_SECRET, scope="meters", audience="https://api"
    )
    return endpoint_at(server.hook_url, **{"name": EndpointName(name), "auth": auth, **changes})


@pytest.mark.parametrize("method", ["basic", "post"])
async def test_token_is_asked_for_and_sent(
    server: TokenServer, clock: HandMonotonic, method: AuthMethod
) -> None:
    """The receiver takes the token that the server gave for our client; an answer that echoes it does not show it."""
    auth = OAuth2(server.token_url, CLIENT_ID, CLIENT_SECRET, "meters", "https://api", method)
    async with authorized(clock) as sender:
        result = await post(sender, endpoint(server, auth=auth))
    assert isinstance(result, Accepted)
    assert result.answer == b"***"
    assert server.methods == [method]
    assert server.forms[0]["grant_type"] == "client_credentials"
    assert (server.forms[0]["scope"], server.forms[0]["audience"]) == ("meters", "https://api")
    assert server.taken == list(server.valid)


async def test_endpoints_of_one_client_share_a_token(
    server: TokenServer, clock: HandMonotonic
) -> None:
    """However many ask at once, the token server is asked once."""
    async with authorized(clock) as sender:
        results = await asyncio.gather(
            *(post(sender, endpoint(server, f"e{number}")) for number in range(200))
        )
    assert {type(result) for result in results} == {Accepted}
    assert len(server.forms) == 1
    assert len(set(server.taken)) == 1


async def test_5000_endpoints_ask_once(server: TokenServer, clock: HandMonotonic) -> None:
    """A start with thousands of endpoints of one client is one request to its token server."""
    tokens = Tokens(pooled_transports(), monotonic=clock)
    deadline = asyncio.get_running_loop().time() + 10
    every = [endpoint(server, f"e{number}") for number in range(5000)]
    given = await asyncio.gather(*(tokens.current(one, deadline=deadline) for one in every))
    assert len(server.forms) == 1
    assert len(set(given)) == 1


ANSWERS = [
    pytest.param(b'{"access_token":"t","expires_in":60}', 60.0, id="usual"),
    pytest.param(b'{"access_token":"t","expires_in":"60"}', 60.0, id="a number as text"),
    pytest.param(b'{"access_token":"t"}', 300.0, id="no end"),
    pytest.param(b'{"access_token":"t","expires_in":-5}', 300.0, id="an end that is past"),
    pytest.param(b'{"access_token":"t","expires_in":1e400}', 300.0, id="an end that is none"),
    pytest.param(b'{"access_token":"t","expires_in":' + b"9" * 400 + b"}", 86400.0, id="forever"),
    pytest.param(b'{"access_token":"t","token_type":"BEARER"}', 300.0, id="its type shouted"),
    pytest.param(b'{"access_token":"t","token_type":"mac"}', None, id="another kind of token"),
    pytest.param(b'{"access_token":"a\\r\\nx: y"}', None, id="a token that ends its line"),
    pytest.param(b'{"access_token":""}', None, id="an empty one"),
    pytest.param(b'{"access_token":5}', None, id="a number"),
    pytest.param(b'{"error":"x"}', None, id="none"),
    pytest.param(b"[1]", None, id="a list"),
    pytest.param(b"<html>", None, id="no JSON"),
    pytest.param(b"\xff", None, id="no text"),
    pytest.param(b'{"access_token":"' + b"t" * 5000 + b'"}', None, id="more than 4 KiB"),
    pytest.param(b"[" * 3000, None, id="nested deep"),
]


@pytest.mark.parametrize(("body", "seconds"), ANSWERS)
async def test_odd_answers(clock: HandMonotonic, body: bytes, seconds: float | None) -> None:
    """Whatever a token server says is a token with an end, or a failure; never more."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    async with receiving(answering(answer)) as receiver:
        auth = OAuth2(receiver.url, "a b:c", "ü&")
        tokens = Tokens(pooled_transports(), monotonic=clock)
        deadline = asyncio.get_running_loop().time() + 10
        asked = tokens.current(endpoint_at("http://127.0.0.1:1/", auth=auth), deadline=deadline)
        if seconds is None:
            with pytest.raises(TransportFailure, match="token"):
                await asked
        else:
            assert (await asked).ends_at == clock.now + seconds
    told = base64.b64decode((receiver.requests[0].header("authorization") or "").split()[1])
    assert told == b"a+b%3Ac:%C3%BC%26", "encoded as in a form (RFC 6749 §2.3.1)"


async def test_token_is_renewed_before_its_end_and_nobody_waits(
    server: TokenServer, clock: HandMonotonic
) -> None:
    """Late in its life it is still sent while the next one is asked for."""
    async with authorized(clock) as sender:
        await post(sender, endpoint(server))
        clock.now += 3600 * 0.75
        await post(sender, endpoint(server))
        async with asyncio.timeout(10):
            while len(set(server.taken)) < 2:
                await post(sender, endpoint(server))
    first, second = server.valid
    assert server.taken[:2] == [first, first]
    assert server.taken[-1] == second
    assert len(server.forms) == 2


async def test_401_has_the_token_renewed_once_and_the_request_sent_again(
    server: TokenServer, clock: HandMonotonic
) -> None:
    """A token that was revoked before its end costs no attempt."""
    async with authorized(clock) as sender:
        await post(sender, endpoint(server))
        server.valid.clear()
        clock.now += NEW_SECONDS
        result = await post(sender, endpoint(server))
    assert isinstance(result, Accepted)
    assert len(server.forms) == 2
    assert len(server.taken) == 3


async def test_receiver_that_refuses_every_token_is_a_failure(
    server: TokenServer, clock: HandMonotonic
) -> None:
    """One renewal, one more try; and a token that is new is not renewed for each attempt."""
    server.refuses_all = True
    async with authorized(clock) as sender:
        first = await post(sender, endpoint(server))
        clock.now += NEW_SECONDS
        second = await post(sender, endpoint(server))
        third = await post(sender, endpoint(server))
    assert [one.status for one in (first, second, third)] == [401, 401, 401]
    assert all(
        isinstance(one, Failed) and one.error == "http_401" for one in (first, second, third)
    )
    assert len(server.forms) == 2
    assert len(server.taken) == 4


async def test_token_server_that_is_down_is_a_failure_of_its_own_word(
    server: TokenServer, clock: HandMonotonic
) -> None:
    """It is asked again only after a while, however many attempts there are; then all is well."""
    server.is_down = True
    async with authorized(clock) as sender:
        results = [await post(sender, endpoint(server, f"e{number}")) for number in range(20)]
        assert {result for result in results} == {results[0]}  # noqa: C416 - of results
        failed = results[0]
        assert isinstance(failed, Failed)
        assert (failed.error, failed.status) == ("token", None)
        assert failed.detail == "the token server answered 503"
        assert len(server.forms) == 1
        server.is_down = False
        clock.now += 1.0
        assert isinstance(await post(sender, endpoint(server)), Accepted)
    assert server.taken == list(server.valid)


async def test_wrong_client_is_told_with_the_servers_own_word(
    server: TokenServer, clock: HandMonotonic
) -> None:
    auth = OAuth2(server.token_url, CLIENT_ID, "wrong")
    async with authorized(clock) as sender:
        result = await post(sender, endpoint(server, auth=auth))
    assert isinstance(result, Failed)
    assert result.detail == "the token server answered 401 (invalid_client)"


async def test_guard_judges_the_token_url_too(server: TokenServer, clock: HandMonotonic) -> None:
    """An endpoint that may not dial private addresses may not fetch its tokens there either."""
    async with authorized(clock) as sender:
        result = await post(sender, endpoint(server, allow_private=False))
    assert isinstance(result, Failed)
    assert result.error == "token"
    assert "allow_private is not set" in result.detail
    assert not server.forms


async def test_slow_token_server_keeps_to_the_attempts_time(clock: HandMonotonic) -> None:
    """The endpoint's timeout covers the token, too."""
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    auth = OAuth2(f"http://127.0.0.1:{port}/token", CLIENT_ID, CLIENT_SECRET)
    one = endpoint_at("http://127.0.0.1:1/hook", auth=auth, timeout_seconds=0.05)
    async with authorized(clock) as sender:
        result = await sender.post(one, url=one.url, headers=[], body=BODY)
    silent.close()
    assert result == Failed("token", detail="the token server gave no answer in time")
