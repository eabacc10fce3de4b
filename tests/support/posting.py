"""A builder of endpoints, and short functions to post to them, for tests of the sender."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from forwarder.delivery import AttemptResult, Unsent
from forwarder.routes.model import Endpoint, EndpointName
from forwarder.sender import Guard, Sender, pooled_transports
from forwarder.sender.resolve import Address, Resolver

BODY = b'{"type":"meter.reading"}'
HEADERS: Sequence[tuple[str, str]] = (
    ("content-type", "application/json"),
    ("webhook-id", "msg_1"),
)
Change: TypeAlias = object


def endpoint_at(url: str, **changes: Change) -> Endpoint:
    """An endpoint that may be on loopback, with a timeout for a busy machine."""
    plain = Endpoint(
        name=EndpointName("acme"), url=url, keys=(), allow_private=True, timeout_seconds=10.0
    )
    return replace(plain, **changes)  # type: ignore[arg-type] # a test names fields that exist


async def post(sender: Sender, endpoint: Endpoint, body: bytes = BODY) -> AttemptResult:
    result = await sender.post(endpoint, url=endpoint.url, headers=HEADERS, body=body)
    assert not isinstance(result, Unsent)
    return result


@asynccontextmanager
async def sending(
    *,
    resolver: Resolver | None = None,
    proxy_url: str | None = None,
    guard: Guard | None = None,
    idle_seconds: float = 60.0,
    unix: Callable[[], float] = time.time,
) -> AsyncIterator[Sender]:
    """A sender over the real transport, closed at the end."""
    sender = Sender(
        pooled_transports(
            resolver=resolver,
            proxy_url=proxy_url,
            guard=guard,
            idle_seconds=idle_seconds,
            unix=unix,
        )
    )
    try:
        yield sender
    finally:
        await sender.aclose()


@dataclass
class Names:
    """A resolver that gives its answers one after the other, and the last one again and again."""

    answers: list[list[Address]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]
