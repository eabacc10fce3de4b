"""One attempt: a POST to an endpoint, and what it came to. Never retries, never raises."""

import asyncio
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import httpx

from forwarder.delivery import AttemptResult, Failed, Unsent, classify
from forwarder.logs import logger
from forwarder.routes.model import Endpoint, EndpointName
from forwarder.sender.answer import MAX_BODY_BYTES, Answer
from forwarder.sender.channel import Channel, connection_key
from forwarder.sender.failure import NoDescriptor, of_httpx
from forwarder.sender.redaction import Redaction

TransportFor: TypeAlias = Callable[[Endpoint], httpx.AsyncBaseTransport]

RETRY_AFTER_STATUSES = (429, 503)
ACCEPTED_BYTES = 512
"""Of an answer that is a 2xx, what is kept: nobody stores it, and looking through it costs each reading."""


class Sender:
    """
    POSTs to endpoints, each over a transport of its own, which `transport_for` makes when it is first needed.

    The transport owes the deadline, `request.extensions["deadline"]` by the event loop's clock. One that is an
    `Engine` is spoken to in bytes, any other in httpx's requests.
    """

    def __init__(self, transport_for: TransportFor) -> None:
        self._transport_for = transport_for
        self._channels: dict[EndpointName, Channel] = {}
        self._closing: set[asyncio.Future[None]] = set()

    async def post(
        self, endpoint: Endpoint, *, url: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> AttemptResult | Unsent:
        """
        What the endpoint made of `body`, POSTed to `url` with these headers and the endpoint's own.

        Unsent when there was no descriptor for a connection: then `turn` tells when there is.
        One deadline, the endpoint's timeout, covers everything from the look-up of the name to the last byte read.
        Raises nothing but CancelledError, and a cancelled attempt leaves no connection behind.
        """
        try:
            channel = self._channels.get(endpoint.name)
            if channel is None or channel.endpoint is not endpoint:
                channel = self._renew(endpoint, channel)
            answer = await channel.post(url, headers, body)
        except NoDescriptor:
            return Unsent()
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            failure = of_httpx(error)
            return Failed(failure.word, detail=failure.detail, address=failure.address)
        except Exception as error:  # noqa: BLE001 - a bug in here must cost an attempt, not the dispatcher
            return _broken(endpoint, error)
        return _result(answer, channel.redaction)

    def turn(self, endpoint: Endpoint, *, seconds: float) -> AbstractAsyncContextManager[bool]:
        """
        Wait, at most so long, for a descriptor; while the block runs it is there for a `post` to the endpoint.

        False when none came in time.
        """
        channel = self._channels.get(endpoint.name)
        if channel is None or channel.endpoint is not endpoint:
            channel = self._renew(endpoint, channel)
        return channel.turn(seconds=seconds)

    def retain(self, endpoints: Collection[Endpoint]) -> None:
        """
        Let go of what belongs to endpoints that are not among these, or to what they were before an edit.

        Attempts in flight go on; their connections are closed after them.
        """
        keys = {endpoint.name: connection_key(endpoint) for endpoint in endpoints}
        for name, channel in list(self._channels.items()):
            if keys.get(name) != channel.key:
                self._retire(self._channels.pop(name))

    async def aclose(self) -> None:
        """Close every idle connection; await or cancel the attempts in flight before."""
        self.retain(())
        await asyncio.gather(*self._closing)

    def _retire(self, channel: Channel) -> None:
        """Close its transport, and have nobody wait for it."""
        closing = asyncio.ensure_future(channel.transport.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _renew(self, endpoint: Endpoint, channel: Channel | None) -> Channel:
        """A channel for this version of the endpoint, over the same transport where that is still right."""
        if channel is not None and channel.key == connection_key(endpoint):
            renewed = Channel(endpoint, channel.transport)
        else:
            if channel is not None:
                self._retire(channel)
            renewed = Channel(endpoint, self._transport_for(endpoint))
        self._channels[endpoint.name] = renewed
        return renewed


def _broken(endpoint: Endpoint, error: Exception) -> Failed:
    """Say where it broke, not how it put it: the text of an error may quote a header or a URL."""
    kind, frames = type(error).__name__, traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    logger("sender").error("attempt.broken", endpoint=endpoint.name, error=kind, place=place)
    return Failed("protocol", detail=f"an error in the forwarder itself ({kind})")


def _result(answer: Answer, redaction: Redaction) -> AttemptResult:
    status = answer.status
    most = ACCEPTED_BYTES if 200 <= status < 300 else MAX_BODY_BYTES
    shown = redaction.of(answer.body[:most], is_cut=len(answer.body) >= most)
    if status not in RETRY_AFTER_STATUSES:
        return classify(status, answer=shown, address=answer.address)
    hint = httpx.Headers(answer.headers).get("retry-after")
    return classify(status, retry_after=hint, answer=shown, address=answer.address)
