"""The relay passes verified requests on to a developer's own port, and brings its answers back."""

from collections.abc import Callable
from http import HTTPStatus

import httpx

from forwarder.demo.listener import Answer, Received
from forwarder.routes.model import Endpoint
from forwarder.sender.failure import TransportFailure
from forwarder.sender.sender import RETRY_AFTER_STATUSES

_PASSED_ON = (
    "content-type",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "webhook-attempt",
)


class Relay:
    """
    An answer rule for a Listener that verifies, so that only genuine requests reach it.

    `endpoint` gets the body as it came and the headers that matter, so that its own check of the signature passes.
    Its status is the answer, with the start of its body. If it gives none, the answer is 502 and a sentence, which
    `tell` gets too.
    """

    def __init__(
        self, endpoint: Endpoint, client: httpx.AsyncClient, *, tell: Callable[[str], None]
    ) -> None:
        self._endpoint = endpoint
        self._client = client
        self._tell = tell

    async def __call__(self, received: Received) -> Answer:
        passed = [(name, received.headers[name]) for name in _PASSED_ON if name in received.headers]
        try:
            response = await self._client.post(
                self._endpoint.url,
                headers=httpx.Headers(passed, encoding="utf-8"),
                content=received.body,
            )
        except TransportFailure as failure:
            return self._unanswered(failure.detail)
        return Answer(response.status_code, headers=_retry_after(response), body=response.content)

    def _unanswered(self, why: str) -> Answer:
        sentence = f"{self._endpoint.name} gave no answer: {why}"
        self._tell(sentence)
        return Answer(HTTPStatus.BAD_GATEWAY, body=sentence.encode())


def _retry_after(response: httpx.Response) -> tuple[tuple[str, str], ...]:
    given = response.headers.get("retry-after")
    if given is None or response.status_code not in RETRY_AFTER_STATUSES:
        return ()
    return (("retry-after", given),)
