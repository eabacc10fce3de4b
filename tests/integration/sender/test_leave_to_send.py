"""A replica that others may have taken for dead writes no request, however far an attempt had come."""

import pytest
from support.posting import BODY, HEADERS, endpoint_at
from support.receiver import OK, Peer, receiving

from forwarder.delivery import Accepted, Unsent
from forwarder.sender import Sender, pooled_transports


@pytest.mark.parametrize("is_connected", [True, False], ids=["idle connection", "new connection"])
async def test_nothing_is_written_without_leave(*, is_connected: bool) -> None:
    """It is looked at right before the bytes are written, on whichever connection; then all goes on."""
    may_send = True
    requests = 0

    async def answer(peer: Peer) -> None:
        nonlocal requests
        while True:
            await peer.request()
            requests += 1
            await peer.send(OK)

    sender = Sender(pooled_transports(may_send=lambda: may_send))
    async with receiving(answer) as receiver:
        endpoint = endpoint_at(receiver.url)

        async def post() -> object:
            return await sender.post(endpoint, url=endpoint.url, headers=HEADERS, body=BODY)

        if is_connected:
            await post()
        before, may_send = requests, False
        assert isinstance(await post(), Unsent)
        assert requests == before
        may_send = True
        assert isinstance(await post(), Accepted)
        assert requests == before + 1
        await sender.aclose()
