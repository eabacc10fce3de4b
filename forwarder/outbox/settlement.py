"""
Claims, which are taken out of the outbox for an attempt, and settlements, which say what was decided.

Nobody changes one. They are not frozen, because each attempt makes them and freezing takes four times as long.
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
    """None when they were not sent, because they were too old."""


class Token(Protocol):
    """By it the outbox knows a claim again, and answers what its holder may ask; what it is, the outbox alone knows."""

    @property
    def is_changed(self) -> bool:
        """Whether something else than the claim has changed what is pending."""

    @property
    def is_claimed(self) -> bool:
        """Whether anything is in flight by it."""

    def has_newer(self, delivery: Delivery) -> bool:
        """Whether a newer reading than this one waits behind what is in flight."""


@dataclass(slots=True)
class Claim:
    """Deliveries of one lane, one at least and in order, that are in flight until they are settled."""

    deliveries: tuple[Delivery, ...]
    token: Token

    @property
    def device(self) -> Device:
        return self.deliveries[0].device

    @property
    def is_stale(self) -> bool:
        """Whether something else has changed its lane: then it is to be given back."""
        return self.token.is_changed

    @property
    def is_over(self) -> bool:
        """Whether it was ended before; only until its lane is claimed anew."""
        return not self.token.is_claimed

    def has_newer(self, delivery: Delivery) -> bool:
        """Whether a newer reading than this one waits behind it; an older one that was replayed does not count."""
        return self.token.has_newer(delivery)

    def first(self, count: int) -> "Claim":
        """The same claim without the later ones, which are as if never claimed."""
        return Claim(self.deliveries[:count], self.token)
