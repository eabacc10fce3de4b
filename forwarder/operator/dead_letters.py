"""
Dead letters are replayed, here or elsewhere, or discarded.

Each endpoint's accounts stay right in every transaction: enqueued = delivered + dead + expired + superseded + pending.
"""

from collections import Counter
from dataclasses import dataclass

from forwarder.errors import OperationError
from forwarder.outbox import (
    Chosen,
    DeliveryFile,
    DeliveryId,
    Discard,
    OutboxAccess,
    Replay,
    ReplayTo,
    Selection,
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcome of a replay."""

    replayed: int = 0
    already_there: int = 0
    """Readings that the other endpoint has got, or is about to get. Their dead letters stay."""


def choose_dead_letters(outbox: OutboxAccess, selection: Selection) -> Chosen[DeliveryId]:
    """The dead letters that are meant, the first that died in front."""
    return outbox.choose_dead_letters(selection)


def delivery_file(outbox: OutboxAccess, key: DeliveryId) -> DeliveryFile:
    """All that is known about one delivery. Raises OperationError when there is no such delivery."""
    found = outbox.delivery_file(key)
    if found is None:
        raise OperationError(
            "that delivery was forgotten a moment ago; forwarder deliveries list shows what there is"
        )
    return found


def replay(outbox: OutboxAccess, chosen: Chosen[DeliveryId], *, now: float) -> Replayed:
    """Put dead letters back in their places, with new attempts and a new `max_age`."""
    return Replayed(sum(sum(outbox.operate(Replay(keys, now))) for keys in chosen.chunks()))


def replay_to(
    outbox: OutboxAccess, chosen: Chosen[DeliveryId], *, endpoint: str, now: float
) -> Replayed:
    """Send the readings of dead letters to another endpoint instead; see `ReplayTo`."""
    outcomes: Counter[str] = Counter()
    for keys in chosen.chunks():
        (came_to,) = outbox.operate(ReplayTo(keys, endpoint, now))
        outcomes.update(came_to)
    return Replayed(outcomes["replayed"], outcomes["already_there"])


def discard(outbox: OutboxAccess, chosen: Chosen[DeliveryId]) -> int:
    """Erase dead letters with everything that only they need. They stay counted as dead. Returns how many."""
    return sum(sum(outbox.operate(Discard(keys))) for keys in chosen.chunks())
