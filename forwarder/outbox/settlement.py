"""
Claims, which take deliveries for an attempt, and settlements, which say what was decided about them.

Nobody changes either. Neither is frozen, because each attempt makes both and a frozen one takes four times as long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from forwarder.delivery import Attempt, Decision, Delivery
from forwarder.reading import Device


@dataclass(slots=True)
class Settlement:
    """A decision about deliveries of one endpoint that ended alike, each at its attempt of the same number."""

    deliveries: Sequence[Delivery]
    decision: Decision
    attempt: Attempt | None
    """None where the deliveries were not sent."""


class Token(Protocol):
    """The outbox's side of a claim, opaque to the claim's owner but for these questions."""

    @property
    def is_changed(self) -> bool:
        """Whether something else than the claim has changed the rows of its lane."""

    @property
    def is_claimed(self) -> bool:
        """Whether a claim of its lane is out."""

    def has_newer(self, delivery: Delivery) -> bool:
        """Whether a newer reading than this one waits behind what is in flight."""


@dataclass(slots=True)
class Claim:
    """Deliveries of one lane, in order and at least one, in flight until they are settled or the claim ends."""

    deliveries: tuple[Delivery, ...]
    token: Token

    @property
    def device(self) -> Device:
        return self.deliveries[0].device

    @property
    def is_stale(self) -> bool:
        """Whether something else has changed the lane; the owner gives such a claim back."""
        return self.token.is_changed

    @property
    def is_over(self) -> bool:
        """Whether the claim has ended; tells so only until its lane is claimed anew."""
        return not self.token.is_claimed

    def has_newer(self, delivery: Delivery) -> bool:
        """Whether a newer reading than this delivery's waits behind the claim; a replayed older one does not count."""
        return self.token.has_newer(delivery)

    def first(self, count: int) -> "Claim":
        """The claim with its first deliveries alone; the later ones are as if never claimed."""
        return Claim(self.deliveries[:count], self.token)
