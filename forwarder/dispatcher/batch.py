"""
A batch: what is sent in one POST, and what comes after it in the same lane.

A batch holds one reading if the endpoint takes readings singly, else up to `max_events` of several lanes. It keeps its
members over all attempts, because its id follows from them; a split or a settled member alone changes them. No batch
is changed in place: each step makes a new one. The class is not frozen, because each attempt makes one and a frozen one
takes four times as long.
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
"""The bytes of a batch around its readings."""
MAX_BATCH_BYTES = (1 << 20) - ENVELOPE_BYTES

Shape: TypeAlias = tuple[BatchLimits | None, bool]
"""The settings of an endpoint that decide which deliveries may go together."""


def shape_of(endpoint: Endpoint) -> Shape:
    return endpoint.batch, is_per_device(endpoint)


def is_per_device(endpoint: Endpoint) -> bool:
    """Whether the URL has the device in it, so that a request takes one device's readings."""
    return "{device}" in endpoint.url


@dataclass(slots=True, eq=False)
class Batch:
    """Claims and their unsettled deliveries; the first `size` deliveries are the next POST."""

    claims: Sequence[Claim]
    deliveries: Sequence[Delivery]
    size: int
    """The size is less than all in a batch of one lane only: its later readings wait until earlier ones are settled."""
    shape: Shape
    """The endpoint's shape when the batch was made up."""
    failures: int = 0
    """Failed attempts of the present head."""

    @classmethod
    def of(cls, claims: Sequence[Claim], shape: Shape) -> "Batch":
        """Put all that was claimed into one POST."""
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
        """Whether the batch ends with its head, because readings go one by one; a retry then waits in the lane."""
        return endpoint.batch is None and len(self.claims) == 1 and self.is_last

    def claim_of(self, delivery: Delivery) -> Claim:
        return next(one for one in self.claims if one.device == delivery.device)

    def without(self, deliveries: Collection[Delivery]) -> "Batch":
        """The batch without settled deliveries; the rest of the head comes next, or the deliveries after the head."""
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
        """The batch after one more attempt of its head."""
        head = [replace(one, attempts=one.attempts + 1) for one in self.head]
        return replace(
            self, deliveries=[*head, *self.deliveries[self.size :]], failures=self.failures + 1
        )

    def halved(self) -> "list[Batch]":
        """Two batches of about half the deliveries each; a batch of a single lane stays one and is sent in halves."""
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
    """The index of the first claim past half of the deliveries; each side holds at least one claim."""
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
    """The number of leading deliveries that fit into `free_bytes` of a batch, and the bytes that they take."""
    envelope = envelope_bytes(endpoint)
    used_bytes = list(accumulate([len(one.data) + envelope for one in deliveries], initial=0))
    count = bisect_right(used_bytes, free_bytes) - 1
    return count, used_bytes[count]
