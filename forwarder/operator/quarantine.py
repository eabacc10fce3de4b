"""Messages that could not be understood are kept exactly as they came, until an operator decides."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from forwarder.errors import OperationError
from forwarder.ingest import new_reading
from forwarder.normalise import Normaliser
from forwarder.outbox import (
    Chosen,
    DiscardQuarantined,
    ExplainQuarantined,
    NewReading,
    Operation,
    OutboxAccess,
    Quarantined,
    Recipient,
    ReplayQuarantined,
    Selection,
)
from forwarder.reading import Message, Unreadable
from forwarder.routes import Routes

Outcome: TypeAlias = Literal["replayed", "duplicate", "unrouted", "unreadable", "cut_off", "gone"]
"""
The outcome of one message's replay.

A message stays if it is `unrouted` (no endpoint wants the device), `unreadable` (it still cannot be understood) or
`cut_off` (only its first bytes were kept). `duplicate` says that the same reading had come in before.
"""
Decode: TypeAlias = Callable[[Message], NewReading | Unreadable | None]
"""Today's reading of a message; None when no endpoint wants the device."""
Decoded: TypeAlias = NewReading | Unreadable | Literal["unrouted", "cut_off"]


def choose_quarantined(outbox: OutboxAccess, selection: Selection) -> Chosen[int]:
    """The messages that are meant, in order of arrival. Raises OperationError for an id that does not exist."""
    chosen = outbox.choose_quarantined(selection)
    if selection.ids and chosen.count < len(set(selection.ids)):
        for number, _ in selection.ids:
            quarantined_message(outbox, number)
    return chosen


def quarantined_message(outbox: OutboxAccess, number: int) -> Quarantined:
    """The message of that id. Raises OperationError when there is none."""
    found = outbox.quarantined([number])
    if not found:
        raise OperationError(f"there is no message {number} in quarantine")
    return found[0]


def discard_quarantined(outbox: OutboxAccess, chosen: Chosen[int]) -> int:
    """Erase messages. Returns how many."""
    return sum(sum(outbox.operate(DiscardQuarantined(some))) for some in chosen.chunks())


def decoder(normaliser: Normaliser, routes: Routes) -> Decode:
    """Reads messages that came in earlier by today's settings and routes."""

    def decode(message: Message) -> NewReading | Unreadable | None:
        result = normaliser.normalise(message)
        if isinstance(result, Unreadable):
            return result
        # Nowhere as the latest, because an old reading must not supersede a fresh one.
        recipients = tuple(Recipient(name) for name in routes.match(result.device))
        return new_reading(message, result, recipients) if recipients else None

    return decode


def replay_quarantined(
    outbox: OutboxAccess, chosen: Chosen[int], *, decode: Decode, now: float
) -> Counter[Outcome]:
    """Read messages again. A message that is understood now becomes deliveries, at the end of their lanes."""
    outcomes: Counter[Outcome] = Counter()
    for numbers in chosen.chunks():
        decoded = [(row.id, _decode(row, decode)) for row in outbox.quarantined(numbers)]
        outcomes.update(one for _, one in decoded if isinstance(one, str))
        answers = outbox.operate(*_operations(decoded, now))
        outcomes.update("unreadable" if answer is None else answer for answer in answers)
    return outcomes


def _decode(row: Quarantined, decode: Decode) -> Decoded:
    if row.is_cut_off:
        return "cut_off"
    message = Message(row.topic, row.payload, datetime.fromtimestamp(row.received_at, UTC))
    return decode(message) or "unrouted"


def _operations(
    decoded: Iterable[tuple[int, Decoded]], now: float
) -> Iterator[Operation[Literal["replayed", "duplicate", "gone"] | None]]:
    for number, result in decoded:
        match result:
            case NewReading():
                yield ReplayQuarantined(number, result, now)
            case Unreadable(reason, detail):
                yield ExplainQuarantined(number, reason, detail)
