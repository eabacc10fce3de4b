"""An endpoint's owner: believes only good signatures, answers by its policy, and remembers everything in order."""

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from support.receiver import Peer, Received
from support.webhooks import OK, RESET, RESET_AFTER_TAKING, UNAVAILABLE, Answer

from chaos.told import Event

TOLERANCE_SECONDS = 300.0
"""How far a signature's time may be off (Standard Webhooks 1.0.0, "verifying webhook authenticity")."""

Policy: TypeAlias = Callable[["Post"], Answer]


@dataclass(slots=True)
class Post:
    """One verified request."""

    webhook_id: str
    attempt: int
    readings: list[Mapping[str, Any]]
    """Their data objects, one or a batch."""
    is_accepted: bool = False

    @property
    def numbers(self) -> list[int]:
        return [number_of(data) for data in self.readings]


def number_of(data: Mapping[str, Any]) -> int:
    """What the oracle called this reading; 0 when it says nothing of the kind."""
    number = data.get("extra", {}).get("number", 0)
    return number if isinstance(number, int) else 0


def accepting(_: Post) -> Answer:
    return OK


def down(_: Post) -> Answer:
    return UNAVAILABLE


def resetting(_: Post) -> Answer:
    return RESET


def unreliable(dice: random.Random) -> Policy:
    """Takes most of what comes; now and then fails, hangs up, or takes it and cannot say so."""
    answers = (OK, UNAVAILABLE, RESET, RESET_AFTER_TAKING)
    return lambda _: dice.choices(answers, weights=(88, 6, 3, 3))[0]


def refusing(*numbers: int, status: int = 422) -> Policy:
    """Takes everything but these readings, which it refuses for good."""
    return lambda post: Answer(status) if {*numbers} & {*post.numbers} else OK


@dataclass
class Receiver:
    """One endpoint's receiver; `policy` may be changed at any time."""

    name: str
    policy: Policy = accepting
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of its endpoint in routes.yaml."""
    is_guest: bool = False
    """Its endpoint comes and goes: it is owed what was enqueued for it, and no more than that."""
    is_routed: bool = True
    """Whether routes.yaml names it, when that is written next."""
    clock_offsets: set[float] = field(default_factory=lambda: {0.0})
    """Seconds by which the forwarder's clock may be off."""
    posts: list[Post] = field(default_factory=list)
    accepted: dict[int, None] = field(default_factory=dict)
    """Numbers, each once, in the order of their first acceptance."""
    duplicates: int = 0
    """Readings that were accepted when they had been before."""
    forged: list[str] = field(default_factory=list)

    @property
    def secret(self) -> str:
        return "whsec_" + base64.b64encode(self._key).decode()

    @property
    def _key(self) -> bytes:
        return self.name.encode().ljust(32, b"-")

    @property
    def only_latest(self) -> bool:
        return self.settings.get("mode") == "latest"

    @property
    def retries(self) -> int:
        return sum(post.attempt > 1 for post in self.posts)

    async def serve(self, peer: Peer) -> None:
        while True:
            post = self._verified(await peer.request())
            # The listener remembers each request too, for tests that look at it; here the posts are enough.
            peer.receiver.requests.clear()
            answer = Answer(401) if post is None else self.policy(post)
            if answer.after is not None:
                await answer.after.wait()
            if post is not None and 200 <= answer.status < 300:
                self._accept(post)
            if answer.is_reset:
                peer.reset()
                return
            await peer.send(answer.raw)

    def _readings(self, event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        data = event["data"]
        return data if isinstance(data, list) else [data]

    def _accept(self, post: Post) -> None:
        post.is_accepted = True
        for number in post.numbers:
            self.duplicates += number in self.accepted
            self.accepted[number] = None

    def _verified(self, request: Received) -> Post | None:
        fault = self._fault(request)
        if fault is not None:
            self.forged.append(fault)
            return None
        post = Post(
            webhook_id=request.header("webhook-id") or "",
            attempt=int(request.header("webhook-attempt") or 0),
            readings=self._readings(json.loads(request.body)),
        )
        self.posts.append(post)
        return post

    def _fault(self, request: Received) -> str | None:
        key, sent_at = request.header("webhook-id"), request.header("webhook-timestamp") or ""
        if not sent_at.isdigit():
            return f"no time in the headers of {key}"
        off = int(sent_at) - time.time()
        if all(abs(off - known) > TOLERANCE_SECONDS for known in self.clock_offsets):
            return f"{key} was signed at {sent_at}, which is not now"
        signed = f"{key}.{sent_at}.".encode() + request.body
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(digest).decode()
        if not hmac.compare_digest(request.header("webhook-signature") or "", expected):
            return f"the signature of {key} is wrong"
        return None


@dataclass
class OperatorReceiver(Receiver):
    """The receiver of the operator's events, which remembers each id once."""

    told: dict[str, Event] = field(default_factory=dict)
    """In the order of their first acceptance."""
    changed: list[str] = field(default_factory=list)
    """Ids that came again as something else."""

    def _readings(self, event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return [event]

    def _accept(self, post: Post) -> None:
        (event,) = post.readings
        if self.told.setdefault(post.webhook_id, event) != event:
            self.changed.append(post.webhook_id)

    @property
    def open_outages(self) -> int:
        """Endpoints told as failing and not yet as recovered."""
        return self.count("endpoint.failing") - self.count("endpoint.recovered")

    @property
    def silences(self) -> int:
        """Of devices, told singly or together."""
        many = [one["data"] for one in self.told.values() if one["type"] == "devices.silent"]
        return self.count("device.silent") + sum(int(data["count"]) for data in many)

    def count(self, kind: str) -> int:
        return sum(event["type"] == kind for event in self.told.values())
