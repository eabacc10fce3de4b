"""Passes verified requests on to a developer's own port, and brings back what is answered there."""

from collections.abc import Callable
from http import HTTPStatus

from forwarder.delivery import Failed, Unsent
from forwarder.demo.listener import Answer, Received
from forwarder.routes.model import Endpoint
from forwarder.sender import Sender

_PASSED_ON = (
    "content-type",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "webhook-attempt",
)


class Relay:
    """
    An answer rule for a Listener that verifies: what reaches it is genuine.

    `endpoint` gets the body as it came and the headers that matter, so that its own check of the signature passes.
    Its status is the answer, with the start of what it said. Where it gives none, the answer is 502 and a sentence,
    which `tell` gets too.
    """

    def __init__(self, endpoint: Endpoint, sender: Sender, *, tell: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._sender = sender
        self._tell = tell

    async def __call__(self, received: Received) -> Answer:
        headers = [
            (name, received.headers[name]) for name in _PASSED_ON if name in received.headers
        ]
        result = await self._sender.post(
            self._endpoint, url=self._endpoint.url, headers=headers, body=received.body
        )
        if isinstance(result, Unsent):
            return self._unanswered("no file descriptor is free here")
        if result.status is not None:
            return Answer(result.status, headers=_retry_after(result), body=result.answer)
        assert isinstance(result, Failed)  # noqa: S101 - the others always carry a status
        return self._unanswered(result.detail)

    def _unanswered(self, why: str) -> Answer:
        sentence = f"{self._endpoint.name} gave no answer: {why}"
        self._tell(sentence)
        return Answer(HTTPStatus.BAD_GATEWAY, body=sentence.encode())


def _retry_after(result: object) -> tuple[tuple[str, str], ...]:
    given = result.retry_after if isinstance(result, Failed) else None
    return (("retry-after", given),) if given else ()
