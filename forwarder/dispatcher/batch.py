"""
A batch: what is sent in one POST, and what comes after it in the same lane.

It holds one reading where the endpoint takes them singly, up to `max_events` of several lanes where it takes more. A
batch keeps its members over all attempts, because its id follows from them; it changes only where it is split, or where
a member is settled. Nobody changes one: every step of its way makes another. It is not frozen, because each attempt
makes one and freezing takes four times as long.
"""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeAlias

from forwarder.delivery import Delivery
from forwarder.outbox import Claim
from forwarder.render import envelope_bytes
from forwarder.routes import BatchLimits, Endpoint

ENVELOPE_BYTES = 128
"""Around the readings of a batch."""
MAX_BATCH_BYTES = (1 << 20) - ENVELOPE_BYTES

Shape: TypeAlias = tuple[BatchLimits | None, bool]
"""What of an endpoint decides which deliveries may go together."""


def shape_of(endpoint: Endpoint) -> Shape:
    return endpoint.batch, is_per_device(endpoint)


def is_per_device(endpoint: Endpoint) -> bool:
    """Whether the URL has the device in it, so that a request takes one device's readings."""
    return "{device}" in endpoint.url


@dataclass(slots=True, eq=False)
class Batch:
    """Claims, and which of their deliveries are not settled yet; the first `size` of those are the next POST."""

    claims: Sequence[Claim]
    deliveries: Sequence[Delivery]
    size: int
    """Less than all only where all are of one lane: order forbids to send later ones before these are settled."""
    shape: Shape
    """Of the endpoint when the batch was made up."""
    failures: int = 0
    """Failed attempts of the head as it is."""

    @classmethod
    def of(cls, claims: Sequence[Claim], shape: Shape) -> "Batch":
        """All that was claimed, in one POST."""
        if len(claims) == 1:
            deliveries: Sequence[Delivery] = claims[0].deliveries
        else:
            deliveries = [delivery for claim in claims for delivery in claim.deliveries]
        return cls(claims, deliveries, len(deliveries), shape)

    @property
    def head(self) -> Sequence[Delivery]:
        """The next POST."""
        return self.deliveries[: self.size]

    @property
    def is_last(self) -> bool:
        """Whether nothing comes after the head."""
        return self.size >= len(self.deliveries)

    def is_single(self, endpoint: Endpoint) -> bool:
        """Whether it is over with its head, because the endpoint takes readings one by one: its lane waits instead."""
        return endpoint.batch is None and len(self.claims) == 1 and self.is_last

    def claim_of(self, delivery: Delivery) -> Claim:
        return next(one for one in self.claims if one.device == delivery.device)

    def without(self, deliveries: Collection[Delivery]) -> "Batch":
        """These are settled; what is left of the head is the next attempt, else what comes after it."""
        closed = {one.reading for one in deliveries}
        left_of_head = [one for one in self.head if one.reading not in closed]
        rest = [one for one in self.deliveries[self.size :] if one.reading not in closed]
        return replace(
            self,
            deliveries=[*left_of_head, *rest],
            size=len(left_of_head) or self.size,
            failures=self.failures if left_of_head else 0,
        )

    def tried(self) -> "Batch":
        """The head has been attempted once more."""
        head = [replace(one, attempts=one.attempts + 1) for one in self.head]
        return replace(
            self, deliveries=[*head, *self.deliveries[self.size :]], failures=self.failures + 1
        )

    def halved(self) -> "list[Batch]":
        """Two batches of about half the deliveries each; of a single lane one batch that is sent in halves."""
        if len(self.claims) > 1:
            middle = _middle(self.claims)
            return [self._part(self.claims[:middle]), self._part(self.claims[middle:])]
        return [replace(self, size=(len(self.head) + 1) // 2, failures=0)]

    def singled(self) -> "list[Batch]":
        """A batch for each lane, whose readings are sent one by one."""
        return [replace(self._part([claim]), size=1) for claim in self.claims]

    def _part(self, claims: Sequence[Claim]) -> "Batch":
        devices = {claim.device for claim in claims}
        members = [one for one in self.deliveries if one.device in devices]
        return Batch(claims, members, len(members), self.shape)


def _middle(claims: Sequence[Claim]) -> int:
    """The first boundary between claims from half of their deliveries on; both sides hold at least one claim."""
    half = sum(len(claim.deliveries) for claim in claims) / 2
    before = 0
    for index, claim in enumerate(claims[:-1]):
        before += len(claim.deliveries)
        if before >= half:
            return index + 1
    return len(claims) - 1


def fitting(
    deliveries: Sequence[Delivery], endpoint: Endpoint, *, free_bytes: int
) -> tuple[int, int]:
    """How many of these, from the first on, fit into so many bytes of a batch, and how many bytes they take."""
    envelope = envelope_bytes(endpoint)
    used_bytes = list(accumulate([len(one.data) + envelope for one in deliveries], initial=0))
    count = bisect_right(used_bytes, free_bytes) - 1
    return count, used_bytes[count]
