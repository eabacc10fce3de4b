"""
A parcel: what is sent in one POST, and what comes after it in the same lane.

One reading where the endpoint takes them singly, up to `max_events` of several lanes in a batch. A parcel keeps its
members over all attempts, so that a batch keeps its id; it changes only where it is split, or a member is settled.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from forwarder.delivery import Delivery
from forwarder.outbox import Claim
from forwarder.outbox.lanes import Lane
from forwarder.render import envelope_bytes
from forwarder.routes import Endpoint

ENVELOPE_BYTES = 128
"""Around the readings of a batch."""
MAX_BATCH_BYTES = (1 << 20) - ENVELOPE_BYTES


@dataclass(slots=True, eq=False)
class Parcel:
    """Claims, and their deliveries cut into pieces: the first piece is the next POST."""

    claims: list[Claim]
    pieces: list[Sequence[Delivery]]
    """More than one only where all are of one lane: order forbids to send the second before the first is settled."""
    failures: int = 0
    """Failed attempts of the first piece as it is."""
    settled: dict[Lane, int] = field(default_factory=dict)
    """How many of each lane's claimed deliveries are settled already."""
    edition: int = 0
    """Of the endpoint's settings that decide what may go together."""

    @classmethod
    def of(cls, claims: list[Claim], *, edition: int) -> "Parcel":
        """All that was claimed, in one piece."""
        if len(claims) == 1:
            return cls(claims, [claims[0].deliveries], 0, {}, edition)
        whole = [delivery for claim in claims for delivery in claim.deliveries]
        return cls(claims, [whole], edition=edition)

    @property
    def head(self) -> Sequence[Delivery]:
        return self.pieces[0] if self.pieces else ()

    @property
    def members(self) -> list[Delivery]:
        """What is not settled, in order."""
        return [delivery for piece in self.pieces for delivery in piece]

    def lane_of(self, delivery: Delivery) -> Lane:
        return next(one.lane for one in self.claims if one.lane.device == delivery.device)

    def close(self, deliveries: Iterable[Delivery]) -> None:
        """These are settled; what is left of the first piece is its next attempt."""
        lanes = {claim.lane.device: claim.lane for claim in self.claims}
        closed = {delivery.reading: lanes[delivery.device] for delivery in deliveries}
        for lane in closed.values():
            self.settled[lane] = self.settled.get(lane, 0) + 1
        if all(delivery.reading in closed for delivery in self.head):
            self.failures = 0
        left = ([one for one in piece if one.reading not in closed] for piece in self.pieces)
        self.pieces = [piece for piece in left if piece]

    def count_attempt(self) -> None:
        """The head has been tried once more."""
        self.failures += 1
        self.pieces[0] = [
            replace(delivery, attempts=delivery.attempts + 1) for delivery in self.pieces[0]
        ]

    def halved(self) -> "list[Parcel]":
        """Two parcels of about half the head each; of a single lane one parcel with two pieces."""
        if len(self.claims) > 1:
            middle = _middle(self.claims)
            return [self._part(self.claims[:middle]), self._part(self.claims[middle:])]
        half = (len(self.head) + 1) // 2
        self.pieces[:1] = [self.head[:half], self.head[half:]]
        self.failures = 0
        return [self]

    def singled(self) -> "list[Parcel]":
        """A parcel for each lane, whose pieces are single readings in order."""
        if len(self.claims) > 1:
            parts = (self._part([claim]) for claim in self.claims)
            return [single for part in parts for single in part.singled()]
        self.pieces[:1] = [[delivery] for delivery in self.head]
        self.failures = 0
        return [self]

    def _part(self, claims: list[Claim]) -> "Parcel":
        lanes = {claim.lane.device: claim.lane for claim in claims}
        members = [delivery for delivery in self.head if delivery.device in lanes]
        settled = {lane: count for lane, count in self.settled.items() if lane.device in lanes}
        return Parcel(claims, [members] if members else [], settled=settled, edition=self.edition)


def _middle(claims: list[Claim]) -> int:
    """The first boundary between claims from half of their deliveries on; both sides hold at least one claim."""
    half = sum(len(claim.deliveries) for claim in claims) / 2
    before = 0
    for index, claim in enumerate(claims[:-1]):
        before += len(claim.deliveries)
        if before >= half:
            return index + 1
    return len(claims) - 1


def fitting(
    deliveries: tuple[Delivery, ...], endpoint: Endpoint, *, free_bytes: int
) -> tuple[int, int]:
    """How many of these, from the first on, fit into so many bytes of a batch, and how many bytes they take."""
    envelope = envelope_bytes(endpoint)
    used_bytes = list(accumulate([len(one.data) + envelope for one in deliveries], initial=0))
    count = bisect_right(used_bytes, free_bytes) - 1
    return count, used_bytes[count]
