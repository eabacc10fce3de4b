"""The stage of the long run: fifty devices, five endpoints that stay, and four that come and go."""

import random

from support.webhooks import Answer

from chaos.receiver import Policy, Post, Receiver, accepting, unreliable
from chaos.stage import Stage

BATCH = {"batch": {"max_events": 20, "max_wait": "200ms"}}
LATEST = {"mode": "latest"}
FEW = {"max_concurrency": 2}
"""Of a guest: eight connections that come and go with it would drown a leak of one."""
REFUSED_EVERY = 53
"""One reading in so many is refused for good, until an operator has had it sent again."""


class LongStage(Stage):
    """A stage whose receivers may refuse a reading for good, and may have no endpoint for a while."""

    device_count = 50

    def _cast(self) -> dict[str, Receiver]:
        self.forgiven: dict[str, set[int]] = {"picky": set(), "bulk": set()}
        cast = [
            Receiver("acme", self._unreliable()),
            Receiver("steady", accepting),
            Receiver("home", accepting, LATEST),
            Receiver("picky", self._refusing("picky", accepting)),
            Receiver("bulk", self._refusing("bulk", self._unreliable()), BATCH),
            Receiver("guest-1", accepting, FEW, is_guest=True),
            Receiver("guest-2", self._unreliable(), FEW, is_guest=True, is_routed=False),
            Receiver("guest-3", accepting, BATCH | FEW, is_guest=True),
            Receiver("guest-4", accepting, LATEST | FEW, is_guest=True, is_routed=False),
        ]
        return {receiver.name: receiver for receiver in cast}

    def _unreliable(self) -> Policy:
        return unreliable(random.Random(self.dice.random()))  # noqa: S311

    def _refusing(self, name: str, policy: Policy) -> Policy:
        def answer(post: Post) -> Answer:
            refused = any(
                number % REFUSED_EVERY == 0 and number not in self.forgiven[name]
                for number in post.numbers
            )
            return Answer(422) if refused else policy(post)

        return answer

    @property
    def guests(self) -> list[Receiver]:
        return [receiver for receiver in self.receivers.values() if receiver.is_guest]
