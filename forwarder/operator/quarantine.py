"""Messages that could not be understood: kept exactly as they came, until an operator decides."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from forwarder.errors import OperationError
from forwarder.ingest import new_reading
from forwarder.normalise import Normaliser
from forwarder.operator.file import Chosen, Key, OutboxFile, touch
from forwarder.operator.selection import Selection, clauses
from forwarder.outbox import NewReading, Recipient
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device, Message, Unreadable
from forwarder.routes import Routes

_COLUMNS = {
    "id": "(id, 0)",
    "device": "device",
    "reason": "reason",
    "time": "received_at",
}
_KEYS = "SELECT id, 0 FROM quarantine WHERE TRUE"
_ROW = """
    SELECT id, device, topic, received_at, reason, detail, size, payload FROM quarantine WHERE id = ?"""

Outcome: TypeAlias = Literal["replayed", "duplicate", "unrouted", "unreadable", "cut_off", "gone"]
"""
What the replay of one message came to.

`unrouted`, `unreadable` and `cut_off` ones stay: no endpoint wants the device, it still cannot be understood, or only
its first bytes were kept. `duplicate` says that the same reading had come in before.
"""
Decode: TypeAlias = Callable[[Message], NewReading | Unreadable | None]
"""None when no endpoint wants the device."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One message in quarantine."""

    id: int
    device: Device
    topic: str
    received_at: float
    reason: str
    detail: str
    size: int
    """Of the whole message, in bytes."""
    payload: bytes
    """Its bytes; of one that was too large only the first."""

    @property
    def is_cut_off(self) -> bool:
        return self.size > len(self.payload)


def choose_quarantined(file: OutboxFile, selection: Selection) -> Chosen:
    """The messages that are meant, in order of arrival. Raises OperationError for an id that there is not."""
    end = clauses(selection, _COLUMNS, order="id")
    chosen = file.choose(_KEYS + end.sql, end.parameters)
    if selection.ids and chosen.count < len(set(selection.ids)):
        for number, _ in selection.ids:
            quarantined_message(file, number)
    return chosen


def quarantined_message(file: OutboxFile, number: int) -> Quarantined:
    """Raises OperationError when there is no such message."""
    found = _rows(file, [Key(number, 0)])
    if not found:
        raise OperationError(f"there is no message {number} in quarantine")
    return found[0]


def quarantined_messages(file: OutboxFile, keys: list[Key]) -> list[Quarantined]:
    """Those of these keys that are there still."""
    return _rows(file, keys)


def _rows(file: OutboxFile, keys: list[Key]) -> list[Quarantined]:
    with file.snapshot() as connection:
        rows = [connection.execute(_ROW, (key.first,)).fetchone() for key in keys]
    return [Quarantined(*row) for row in rows if row is not None]


def discard_quarantined(file: OutboxFile, chosen: Chosen) -> int:
    """Erase messages; returns how many."""
    erased = 0
    for keys in chosen.chunks():
        with file.transaction() as store:
            erased += sum(_erase(store, key.first) for key in keys)
    return erased


def _erase(store: Store, number: int) -> bool:
    return store.connection.execute("DELETE FROM quarantine WHERE id = ?", (number,)).rowcount > 0


def decoder(normaliser: Normaliser, routes: Routes) -> Decode:
    """What today's settings make of a message that came in earlier."""

    def decode(message: Message) -> NewReading | Unreadable | None:
        result = normaliser.normalise(message)
        if isinstance(result, Unreadable):
            return result
        # Nowhere as the latest: what came in long ago must not supersede what is fresh.
        recipients = tuple(Recipient(name) for name in routes.match(result.device))
        return new_reading(message, result, recipients) if recipients else None

    return decode


def replay_quarantined(
    file: OutboxFile, chosen: Chosen, *, decode: Decode, now: float
) -> Counter[Outcome]:
    """Read messages again; what is understood now leaves the quarantine as deliveries, at the end of their lanes."""
    outcomes: Counter[Outcome] = Counter()
    for keys in chosen.chunks():
        decoded = [(row, _decode(row, decode)) for row in _rows(file, keys)]
        with file.transaction() as store:
            outcomes.update([_conclude(store, row, result, now) for row, result in decoded])
    return outcomes


def _decode(
    row: Quarantined, decode: Decode
) -> NewReading | Unreadable | Literal["unrouted", "cut_off"]:
    if row.is_cut_off:
        return "cut_off"
    message = Message(row.topic, row.payload, datetime.fromtimestamp(row.received_at, UTC))
    return decode(message) or "unrouted"


def _conclude(
    store: Store,
    row: Quarantined,
    result: NewReading | Unreadable | Literal["unrouted", "cut_off"],
    now: float,
) -> Outcome:
    match result:
        case NewReading():
            return _put(store, result, now) if _erase(store, row.id) else "gone"
        case Unreadable(reason, detail):
            store.connection.execute(
                "UPDATE quarantine SET reason = ?, detail = ? WHERE id = ?",
                (reason, detail, row.id),
            )
            return "unreadable"
    return result


def _put(store: Store, reading: NewReading, now: float) -> Outcome:
    number, recipients = store.put(reading, now=now, content_since=now)
    for recipient in recipients:
        endpoint = store.endpoint_id(recipient.endpoint)
        # Its max_age counts from the replay; it may have come in days ago.
        store.connection.execute(
            "UPDATE delivery SET age_from = ? WHERE reading = ? AND endpoint = ?",
            (now, number, endpoint),
        )
        touch(store.connection, endpoint, reading.device)
    return "replayed" if recipients else "duplicate"
