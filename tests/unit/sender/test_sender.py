from typing import Any

import httpx
import pytest
import respx
import structlog
from support.posting import BODY, Names, endpoint_at
from support.transports import HandledTransport

from forwarder import __version__
from forwarder.delivery import Accepted, AttemptResult, Failed, Gone, Refused, Unsent
from forwarder.routes.model import BasicAuth, BearerAuth, Endpoint
from forwarder.sender import Sender, pooled_transports
from forwarder.sender.failure import TransportFailure

URL = "https://hooks.example/in?token=s3cret"
Headers = list[tuple[str, str]]


@pytest.fixture
def router() -> respx.Router:
    return respx.Router(assert_all_called=False)


@pytest.fixture
def sender(router: respx.Router) -> Sender:
    return Sender(lambda _: HandledTransport(router.async_handler))


async def post(sender: Sender, endpoint: Endpoint, headers: Headers | None = None) -> AttemptResult:
    result = await sender.post(endpoint, url=endpoint.url, headers=headers or [], body=BODY)
    assert not isinstance(result, Unsent)
    return result


async def sent(
    sender: Sender, router: respx.Router, endpoint: Endpoint, *own: tuple[str, str]
) -> httpx.Request:
    """The request that an attempt sends."""
    route = router.post(url=endpoint.url).respond(200)
    assert await post(sender, endpoint, list(own)) == Accepted(200)
    request: httpx.Request = route.calls.last.request
    return request


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Accepted(200, b"so")),
        (204, Accepted(204, b"so")),
        (301, Failed("http_301", status=301, answer=b"so")),
        (400, Refused(400, b"so")),
        (404, Failed("http_404", status=404, answer=b"so")),
        (410, Gone(410, b"so")),
        (413, Refused(413, b"so")),
        (500, Failed("http_500", status=500, answer=b"so")),
    ],
)
async def test_status_decides_what_an_attempt_came_to(
    sender: Sender, router: respx.Router, status: int, result: AttemptResult
) -> None:
    """Each status has its result, and the start of the answer goes with it."""
    router.post(URL).respond(status, content=b"so")
    assert await post(sender, endpoint_at(URL)) == result


@pytest.mark.parametrize(
    ("status", "result"), [(302, Accepted(302, b"so")), (409, Refused(409, b"so"))]
)
async def test_endpoint_decides_what_its_answers_mean(
    sender: Sender, router: respx.Router, status: int, result: AttemptResult
) -> None:
    """`success` and `refused` take the place of the usual statuses."""
    endpoint = endpoint_at(URL, success=frozenset({302}), refused=frozenset({409}))
    router.post(URL).respond(status, content=b"so")
    assert await post(sender, endpoint) == result


@pytest.mark.parametrize(("status", "kept"), [(429, "120"), (503, "120"), (500, None), (200, None)])
async def test_retry_after_is_kept_where_it_means_something(
    sender: Sender, router: respx.Router, status: int, kept: str | None
) -> None:
    """Retry-After is handed on as it came with a 429 or 503, else not at all."""
    router.post(URL).respond(status, headers={"Retry-After": "120"})
    result = await post(sender, endpoint_at(URL))
    assert getattr(result, "retry_after", None) == kept


@pytest.mark.parametrize(("status", "kept"), [(500, 4096), (200, 512)])
async def test_start_of_an_answer_is_kept(
    sender: Sender, router: respx.Router, status: int, kept: int
) -> None:
    """Of an answer's body the first 4 KiB are kept, of a 2xx less; the end of what is cut may belong to a secret."""
    router.post(URL).respond(status, content=b"x" * 10_000)
    router.post("https://hooks.example/in").respond(status, content=b"x" * 10_000)
    told_nothing = await post(sender, endpoint_at("https://hooks.example/in"))
    assert told_nothing.answer == b"x" * kept
    told_something = await post(sender, endpoint_at(URL))
    assert told_something.answer == b"x" * (kept - 24) + b"***"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TransportFailure("unreachable", "no route"), "unreachable"),
        (TransportFailure("timeout", "too late"), "timeout"),
        (httpx.ReadTimeout("s3cret"), "protocol"),
        (UnicodeError("s3cret"), "protocol"),
        (RuntimeError("s3cret"), "protocol"),
    ],
)
async def test_whatever_goes_wrong_is_a_failed_attempt_that_tells_no_secret(
    sender: Sender, router: respx.Router, error: Exception, word: str
) -> None:
    """An attempt raises nothing; an error's text, which may quote anything, goes nowhere."""
    router.post(URL).mock(side_effect=error)
    with structlog.testing.capture_logs() as logs:
        result = await post(sender, endpoint_at(URL))
    assert isinstance(result, Failed)
    assert (result.error, result.status) == (word, None)
    assert "s3cret" not in repr(result) + repr(logs)


async def test_request_is_a_post_with_the_headers_of_an_attempt(
    sender: Sender, router: respx.Router
) -> None:
    """What every receiver gets, besides what the caller signs."""
    request = await sent(sender, router, endpoint_at(URL), ("webhook-id", "msg_1"))
    assert (request.method, request.content) == ("POST", BODY)
    assert request.headers.multi_items() == [
        ("host", "hooks.example"),
        ("content-length", str(len(BODY))),
        ("user-agent", f"whatwatt-forwarder/{__version__}"),
        ("accept-encoding", "identity"),
        ("webhook-id", "msg_1"),
    ]


@pytest.mark.parametrize(
    ("auth", "value"),
    [
        (BasicAuth("user", "pass"), "Basic dXNlcjpwYXNz"),
        (BasicAuth("", ""), "Basic Og=="),
        (BasicAuth("Ä", "ö:"), "Basic w4Q6w7Y6"),
        (BearerAuth("abc"), "Bearer abc"),
    ],
)
async def test_endpoint_authenticates_itself(
    sender: Sender, router: respx.Router, auth: BasicAuth | BearerAuth, value: str
) -> None:
    """Basic in UTF-8 (RFC 7617) and bearer (RFC 6750); an `authorization` of the headers gives way to them."""
    endpoint = endpoint_at(URL, auth=auth, headers=(("Authorization", "other"),))
    request = await sent(sender, router, endpoint)
    assert request.headers.get_list("authorization") == [value]


async def test_static_headers_are_sent(sender: Sender, router: respx.Router) -> None:
    """An endpoint's own headers go with each attempt, `authorization` among them."""
    endpoint = endpoint_at(URL, headers=(("X-Tenant", "7"), ("Authorization", "Key k")))
    request = await sent(sender, router, endpoint)
    assert (request.headers["x-tenant"], request.headers["authorization"]) == ("7", "Key k")


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "webhook-id",
        "Webhook-Signature",
        "User-Agent",
    ],
)
async def test_static_headers_cannot_replace_ours(
    sender: Sender, router: respx.Router, name: str
) -> None:
    """What frames, names and signs a request is ours alone."""
    request = await sent(sender, router, endpoint_at(URL, headers=((name, "theirs"),)))
    assert "theirs" not in request.headers.values()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://", "protocol"),
        ("ftp://hooks.example/", "protocol"),
        ("https://a b/", "dns"),
        ("https://\x00/", "protocol"),
        ("https://\ud800/", "protocol"),
        ("//x", "protocol"),
    ],
)
async def test_url_that_leads_nowhere_is_a_failed_attempt(url: str, word: str) -> None:
    """A URL that slipped through is answered for, not raised."""
    result = await post(Sender(pooled_transports(resolver=Names([[]]))), endpoint_at(url))
    assert isinstance(result, Failed)
    assert result.error == word
    assert url not in result.detail


async def test_edited_endpoint_is_served_by_its_new_self(
    sender: Sender, router: respx.Router
) -> None:
    """A changed header is in the next request; the old endpoint's is not."""
    await sent(sender, router, endpoint_at(URL, headers=(("x-a", "1"),)))
    request = await sent(sender, router, endpoint_at(URL, headers=(("x-a", "2"),)))
    assert request.headers.get_list("x-a") == ["2"]


@pytest.mark.parametrize(
    ("changes", "echoed"),
    [
        pytest.param({"auth": BearerAuth("t0ken-t0ken")}, b"Bearer t0ken-t0ken", id="a header"),
        pytest.param({"auth": BearerAuth("t0ken-t0ken")}, b"t0ken-t0ken", id="the token alone"),
        pytest.param({"auth": BasicAuth("us", "passw0rd")}, b"passw0rd", id="a password"),
        pytest.param({"auth": BasicAuth("us", "passw0rd")}, b"dXM6cGFzc3cwcmQ=", id="encoded"),
        pytest.param({"headers": (("X-Key", "k3y-k3y-k3y"),)}, b"k3y-k3y-k3y", id="an own header"),
        pytest.param({}, b"token=s3cret", id="the query"),
    ],
)
async def test_what_a_receiver_echoes_tells_no_secret(
    sender: Sender, router: respx.Router, changes: dict[str, Any], echoed: bytes
) -> None:
    """Answers are stored and shown: what we told in confidence is hidden in them."""
    router.post(URL).respond(500, content=b"you sent: " + echoed)
    result = await post(sender, endpoint_at(URL, **changes))
    assert isinstance(result, Failed)
    assert result.answer == b"you sent: ***"


@pytest.mark.parametrize("value", ["1\r\nx: y", "1\n", "\0", "\ud800"])
async def test_header_of_an_attempt_cannot_break_out_of_its_line(
    sender: Sender, router: respx.Router, value: str
) -> None:
    """Whoever hands the sender a line break, or what no UTF-8 holds, gets a failed attempt, and nothing is sent."""
    route = router.post(URL).respond(200)
    result = await post(sender, endpoint_at(URL), [("webhook-id", value)])
    assert isinstance(result, Failed)
    assert (result.error, route.called) == ("protocol", False)
