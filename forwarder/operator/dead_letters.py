"""
What an operator does with dead letters: replay them, here or elsewhere, or discard them.

Each endpoint's accounts stay right in every transaction: enqueued = delivered + dead + expired + superseded + pending.
"""

from collections import Counter
from dataclasses import dataclass

from forwarder.errors import ConfigurationError, OperationError
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
    """What a replay came to."""

    replayed: int = 0
    already_there: int = 0
    """Readings that the other endpoint has got, or is about to get; their dead letters stay."""


def parse_delivery_id(text: str) -> DeliveryId:
    """Raises ConfigurationError for what no command has printed."""
    reading, dash, endpoint = text.partition("-")
    if not (dash and _is_number(reading) and _is_number(endpoint)):
        raise ConfigurationError(f"{text!r} is not the id of a delivery; they look like 4711-2")
    return DeliveryId(int(reading), int(endpoint))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def choose_dead_letters(outbox: OutboxAccess, selection: Selection) -> Chosen[DeliveryId]:
    """The dead letters that are meant. Raises OperationError for an id that is no dead letter."""
    chosen = outbox.choose_dead_letters(selection)
    if selection.ids and chosen.count < len(set(selection.ids)):
        _explain_missing(outbox, selection)
    return chosen


def _explain_missing(outbox: OutboxAccess, selection: Selection) -> None:
    keys = [DeliveryId(*key) for key in selection.ids]
    found = {one.id: one for one in outbox.records(keys)}
    for key in keys:
        if key not in found:
            raise OperationError(f"there is no dead letter {key}; nothing was changed")
        if found[key].state != "dead":
            raise OperationError(
                f"{key} is not a dead letter, it is {found[key].state}; nothing was changed"
            )


def delivery_file(outbox: OutboxAccess, key: DeliveryId) -> DeliveryFile:
    """All there is about one delivery. Raises OperationError when there is no such delivery."""
    found = outbox.delivery_file(key)
    if found is None:
        raise OperationError(
            f"there is no delivery {key}; it was never made, or forgotten after its time"
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
    """Erase dead letters with everything that only they need; they stay counted as dead. Returns how many."""
    return sum(sum(outbox.operate(Discard(keys))) for keys in chosen.chunks())
