"""The one receiver of all: reads a reading's number from an event or a bare payload, and remembers what it took."""

import json
from dataclasses import dataclass, field

from support.receiver import Peer
from support.webhooks import OK, UNAVAILABLE


def number_of(body: bytes) -> int:
    """What the oracle called the reading: in the forwarder's event it stands among what no rule knows."""
    content = json.loads(body)
    number: int = content["data"]["extra"]["number"] if "data" in content else content["number"]
    return number


@dataclass
class Receiver:
    """Takes everything, or while it `is_down` nothing."""

    is_down: bool = False
    accepted: dict[int, None] = field(default_factory=dict)
    """Numbers, each once, in the order of their first acceptance."""
    duplicates: int = 0
    """Readings that were accepted when they had been before."""
    refused: int = 0
    """POSTs that were answered by 503."""

    async def serve(self, peer: Peer) -> None:
        while True:
            number = number_of((await peer.request()).body)
            if self.is_down:
                self.refused += 1
                await peer.send(UNAVAILABLE.raw)
                continue
            # Counted before it is answered: the answer may not reach a program that is killed meanwhile.
            self.duplicates += number in self.accepted
            self.accepted[number] = None
            await peer.send(OK.raw)
