from collections.abc import AsyncIterator, Callable

import pytest

from forwarder.demo.broker import EmbeddedBroker
from forwarder.settings import Broker

USERNAME = "whatwatt.integration.client.demoville"
PASSWORD = "throw-away"


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedBroker]:
    """A running broker on a free port."""
    async with EmbeddedBroker(username=USERNAME, password=PASSWORD) as broker:
        yield broker


@pytest.fixture
def login(embedded: EmbeddedBroker) -> Callable[..., Broker]:
    """What a client needs to know, right unless said otherwise."""

    def made(*, password: str = PASSWORD, username: str = USERNAME) -> Broker:
        return Broker(
            host="127.0.0.1",
            port=embedded.port,
            use_tls=False,
            client_id=username,
            topics=("ext/demoville/#",),
            username=username,
            password=password,
        )

    return made
