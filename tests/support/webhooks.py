"""A receiver as an owner would write it: it verifies every signature, keeps every post, and answers as a test says."""

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from standardwebhooks import Webhook, WebhookVerificationError
from support.receiver import PATIENCE_SECONDS, Peer, Received, receiving

from forwarder.reading import Device, WebhookId


@dataclass
class Post:
    """One verified request."""

    webhook_id: WebhookId
    attempt: int
    body: bytes
    request: Received
    is_accepted: bool = False
    """Whether the answer was 2xx; the answer may have been lost on the way."""

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def data(self) -> list[dict[str, Any]]:
        """The readings of the post, one or a batch."""
        data = self.event["data"]
        return data if isinstance(data, list) else [data]

    @property
    def number(self) -> int:
        """The number in the payload of the first reading."""
        number: int = self.data[0]["extra"]["number"]
        return number

    @property
    def device(self) -> Device:
        return Device(self.data[0]["device"])


@dataclass(frozen=True)
class Answer:
    """The answer to a post."""

    status: int = 200
    headers: tuple[str, ...] = ()
    is_reset: bool = False
    """Close with a RST instead of answering; a post with a 2xx status counts as taken all the same."""
    after: asyncio.Event | None = None
    """The event after which the answer goes out."""

    @property
    def raw(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} So", *self.headers, "content-length: 0", "", ""]
        return "\r\n".join(lines).encode()


OK = Answer()
UNAVAILABLE = Answer(503)
RESET = Answer(503, is_reset=True)
RESET_AFTER_TAKING = Answer(200, is_reset=True)
Policy: TypeAlias = Callable[[Post], Answer]


@dataclass
class Webhooks:
    """One endpoint's receiver; `policy` may be changed at any time."""

    name: str
    port: int = 0
    policy: Policy = lambda _: OK
    posts: list[Post] = field(default_factory=list)
    """Every verified request, in the order in which they came."""
    forged: list[str] = field(default_factory=list)
    """Why each other request was not believed."""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def key(self) -> str:
        return f"signing-key-of-{self.name}".ljust(32, "-")

    @property
    def secret(self) -> str:
        return "whsec_" + base64.b64encode(self.key.encode()).decode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.name}"

    @property
    def accepted(self) -> list[Post]:
        return [post for post in self.posts if post.is_accepted]

    @property
    def devices(self) -> dict[Device, list[WebhookId]]:
        """The readings that were accepted, each once, in the order of their first acceptance."""
        taken: dict[Device, dict[WebhookId, None]] = defaultdict(dict)
        for post in self.accepted:
            for data in post.data:
                taken[Device(data["device"])][WebhookId(data["id"])] = None
        return {device: list(ids) for device, ids in taken.items()}

    @property
    def count(self) -> int:
        """How many different readings were accepted."""
        return sum(map(len, self.devices.values()))

    async def until(self, condition: Callable[["Webhooks"], object]) -> None:
        """Return once `condition` holds, which is checked whenever a post has come or been answered."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
                await self._changed.wait_for(lambda: condition(self))
        except TimeoutError:
            raise AssertionError(
                f"{self.name} waited in vain: {len(self.posts)} posts, {self.count} readings accepted"
            ) from None

    async def until_count(self, count: int) -> None:
        """Return once so many different readings have been accepted."""
        await self.until(lambda _: self.count >= count)

    async def until_posts(self, count: int) -> None:
        await self.until(lambda _: len(self.posts) >= count)

    async def serve(self, peer: Peer) -> None:
        while True:
            post = self._verify(await peer.request())
            if post is None:
                await peer.send(Answer(401).raw)
                continue
            answer = self.policy(post)
            await self._note()
            if answer.after is not None:
                await answer.after.wait()
            post.is_accepted = 200 <= answer.status < 300
            await self._note()
            if answer.is_reset:
                peer.reset()
                return
            await peer.send(answer.raw)

    def _verify(self, request: Received) -> Post | None:
        headers = dict(request.headers)
        try:
            Webhook(self.secret).verify(request.body, headers)
        except (WebhookVerificationError, KeyError) as error:
            self.forged.append(f"{error}: {headers}")
            return None
        post = Post(
            webhook_id=WebhookId(headers["webhook-id"]),
            attempt=int(headers["webhook-attempt"]),
            body=request.body,
            request=request,
        )
        self.posts.append(post)
        return post

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def listening(webhooks: Webhooks) -> AsyncIterator[Webhooks]:
    """The receiver, which listens while the block runs, on its port or else on a free one."""
    async with receiving(webhooks.serve, port=webhooks.port) as receiver:
        webhooks.port = receiver.port
        yield webhooks
