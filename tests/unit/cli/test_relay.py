from datetime import UTC, datetime

import httpx
import pytest
import respx
from support.posting import BODY, endpoint_at

from forwarder.cli.relay import Relay
from forwarder.demo.listener import Answer, Received
from forwarder.sender import client_for

URL = "http://localhost/in"


@pytest.fixture
def router() -> respx.Router:
    return respx.Router(assert_all_called=False)


async def relayed(router: respx.Router, **headers: str) -> Answer:
    """What is answered to a verified request with these header fields."""
    received = Received(
        order=1,
        received_at=datetime.now(UTC),
        webhook_id="msg_1",
        attempt=1,
        verdict="verified",
        readings=(),
        body=BODY,
        path="/",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    target, handled = endpoint_at(URL), httpx.MockTransport(router.async_handler)
    async with client_for(target, transport_for=lambda _: handled) as client:
        return await Relay(target, client, tell=lambda _: None)(received)


async def test_header_fields_that_matter_are_passed_on(router: respx.Router) -> None:
    """Also with letters outside ASCII; no other field is."""
    route = router.post(URL).respond(202, content=b"taken")
    answer = await relayed(router, content_type="text/ä", webhook_id="msg_1", x_other="b")
    request = route.calls.last.request
    assert (answer.status, answer.body, request.content) == (202, b"taken", BODY)
    assert (request.headers["content-type"], request.headers["webhook-id"]) == ("text/ä", "msg_1")
    assert "x-other" not in request.headers


@pytest.mark.parametrize(("status", "passed"), [(429, True), (503, True), (500, False)])
async def test_retry_after_is_passed_on_where_it_means_something(
    router: respx.Router, status: int, passed: bool
) -> None:
    """As the forwarder itself reads it."""
    router.post(URL).respond(status, headers={"Retry-After": "7"})
    answer = await relayed(router)
    assert answer.headers == ((("retry-after", "7"),) if passed else ())
