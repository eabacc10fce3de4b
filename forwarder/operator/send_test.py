"""Test requests to one endpoint: signed, sent one after the other, and owed by no delivery."""

import asyncio
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx

from forwarder.delivery import Accepted, AttemptResult, Failed, classify
from forwarder.errors import ConfigurationError, ForwarderError
from forwarder.operator.known_routes import not_an_endpoint
from forwarder.reading import Device
from forwarder.render import TEST_DEVICE, Rendered, Unrenderable, render_test
from forwarder.routes import Routes
from forwarder.routes.model import BearerAuth, Endpoint, EndpointName, OAuth2
from forwarder.sender import HttpxTransportFor, Tokens, client_for
from forwarder.sender.failure import NoDescriptor, TransportFailure
from forwarder.signing import signature_headers


@dataclass(frozen=True, slots=True)
class Answered:
    """One request's answer, and the seconds that it took."""

    result: AttemptResult
    seconds: float

    @property
    def is_taken(self) -> bool:
        """Whether the receiver took it: 2xx, or a status of the endpoint's `success`."""
        return isinstance(self.result, Accepted)

    @property
    def word(self) -> str:
        """The outcome in a word, such as `http_204` or `timeout`."""
        return (
            self.result.error if isinstance(self.result, Failed) else f"http_{self.result.status}"
        )


def find_endpoint(routes: Routes, name: str) -> Endpoint:
    """The endpoint of that name. Raises ConfigurationError with the nearest one."""
    endpoint = routes.endpoints.get(EndpointName(name))
    if endpoint is None:
        raise ConfigurationError(not_an_endpoint(name, list(routes.endpoints), routes))
    return endpoint


async def send_test(endpoint: Endpoint, *, transport_for: HttpxTransportFor) -> Answered:
    """
    One `webhook.test` event to the endpoint, and its answer.

    Raises ConfigurationError if its template makes nothing of such an event, and ForwarderError if nothing could be
    sent.
    """
    try:
        rendered = render_test(endpoint, now=datetime.now(UTC))
    except Unrenderable as nothing:
        raise ConfigurationError(f"endpoint {endpoint.name}: nothing to send: {nothing}") from None
    (outcome,) = await send_each(
        [rendered], endpoint=endpoint, device=TEST_DEVICE, transport_for=transport_for
    )
    return outcome


async def send_each(
    requests: Iterable[Rendered],
    *,
    endpoint: Endpoint,
    device: Device,
    transport_for: HttpxTransportFor,
) -> list[Answered]:
    """
    Send one request after the other, over one connection if the receiver keeps it.

    `device` takes the place of `{device}` in the URL. Raises ForwarderError if nothing could be sent.
    """
    try:
        endpoint = await _authorized(endpoint, transport_for)
    except TransportFailure as failure:
        return [Answered(Failed(failure.word, detail=failure.detail, address=failure.address), 0.0)]
    async with client_for(endpoint, transport_for=transport_for) as client:
        return [await _attempt(each, endpoint, device, client) for each in requests]


async def _authorized(endpoint: Endpoint, transport_for: HttpxTransportFor) -> Endpoint:
    """The endpoint, with a token if it needs one. Raises TransportFailure."""
    if not isinstance(endpoint.auth, OAuth2):
        return endpoint
    deadline = asyncio.get_running_loop().time() + endpoint.timeout_seconds
    token = await Tokens(transport_for).current(endpoint, deadline=deadline)
    return replace(endpoint, auth=BearerAuth(token.text))


async def _attempt(
    rendered: Rendered, endpoint: Endpoint, device: Device, client: httpx.AsyncClient
) -> Answered:
    signed = signature_headers(
        rendered.webhook_id,
        unix_second=int(time.time()),
        attempt=1,
        body=rendered.body,
        keys=endpoint.keys,
    )
    headers = [("content-type", rendered.content_type), *signed]
    started = time.monotonic()
    answering = client.post(endpoint.url_for(device), headers=headers, content=rendered.body)
    result = await _result(answering, endpoint)
    return Answered(result, time.monotonic() - started)


async def _result(answering: Awaitable[httpx.Response], endpoint: Endpoint) -> AttemptResult:
    """The meaning of an answer. Raises ForwarderError if nothing could be sent."""
    try:
        response = await answering
    except NoDescriptor:
        raise ForwarderError(
            "no file descriptor is free; raise the limit of open files (ulimit -n)"
        ) from None
    except TransportFailure as failure:
        return Failed(failure.word, detail=failure.detail, address=failure.address)
    return classify(
        response.status_code,
        success=endpoint.success,
        refused=endpoint.refused,
        answer=response.content,
        address=response.extensions.get("address"),
    )
