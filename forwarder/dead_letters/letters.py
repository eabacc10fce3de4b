"""
What an operator does with dead letters: replay them, here or elsewhere, or discard them.

Each endpoint's accounts stay right in every transaction: enqueued = delivered + dead + expired + superseded + pending.
"""

import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import Literal, TypeAlias

from forwarder.dead_letters.file import Chosen, Key, OutboxFile, touch
from forwarder.dead_letters.records import dead_letters, deliveries
from forwarder.dead_letters.selection import Selection
from forwarder.outbox.store import Store
from forwarder.outbox.upkeep import forget_deliveries

_REVIVE = """
    UPDATE delivery SET state = 'pending', reason = NULL, attempts = 0, due_at = 0, settled_at = NULL, age_from = ?,
        last_status = NULL, last_error = NULL, duration_ms = NULL
    WHERE reading = ? AND endpoint = ? AND state = ?"""
_OWE = """
    INSERT INTO delivery (reading, endpoint, device, enqueued_at, age_from) VALUES (?, ?, ?, ?, ?)"""
_TO_PENDING = {
    "dead": "UPDATE endpoint SET dead = dead - 1 WHERE id = ?",
    "expired": "UPDATE endpoint SET expired = expired - 1 WHERE id = ?",
    "superseded": "UPDATE endpoint SET superseded = superseded - 1 WHERE id = ?",
    None: "UPDATE endpoint SET enqueued = enqueued + 1 WHERE id = ?",
}
"""How an endpoint's totals change when a delivery in this state, or one that was not there, becomes pending."""


_Outcome: TypeAlias = Literal["replayed", "already_there", "gone"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to."""

    replayed: int = 0
    already_there: int = 0
    """Readings that the other endpoint has got, or is about to get; their dead letters stay."""


def choose_dead_letters(file: OutboxFile, selection: Selection) -> Chosen:
    """The dead letters that are meant, those that died first in front."""
    return file.choose(*dead_letters(selection))


def choose_deliveries(file: OutboxFile, selection: Selection) -> Chosen:
    """The deliveries that are meant, in any state, the newest in front."""
    return file.choose(*deliveries(selection))


def endpoints_of(file: OutboxFile, chosen: Chosen) -> list[str]:
    """The names of the endpoints whose deliveries are chosen."""
    if not chosen.count:
        return []
    with file.snapshot() as connection:
        rows = connection.execute(
            "SELECT name FROM endpoint WHERE id IN (SELECT second FROM temp.chosen) ORDER BY name"
        ).fetchall()
    return [name for (name,) in rows]


def replay(file: OutboxFile, chosen: Chosen, *, now: float) -> Replayed:
    """Put dead letters back in their places, with new attempts and a new `max_age`."""
    revived = 0
    for keys in chosen.chunks():
        with file.transaction() as store:
            revived += sum(_revive(store.connection, key, state="dead", now=now) for key in keys)
    return Replayed(revived)


def replay_to(file: OutboxFile, chosen: Chosen, *, endpoint: str, now: float) -> Replayed:
    """
    Send the readings of dead letters to another endpoint instead.

    Where they died they stay counted as dead. A reading that the other endpoint has got, or is about to get, is not
    sent again, and its dead letter stays.
    """
    outcomes: Counter[_Outcome] = Counter()
    for keys in chosen.chunks():
        with file.transaction() as store:
            target = store.endpoint_id(endpoint)
            outcomes.update([_send_to(store, key, target, now) for key in keys])
    return Replayed(outcomes["replayed"], outcomes["already_there"])


def _send_to(store: Store, key: Key, target: int, now: float) -> _Outcome:
    connection, there = store.connection, Key(key.first, target)
    if _state(connection, key) != "dead":
        return "gone"
    state = _state(connection, there)
    if state in ("pending", "delivered"):
        return "already_there"
    if state is None:
        _owe(connection, there, now)
    else:
        _revive(connection, there, state=state, now=now)
    if there != key:
        forget_deliveries(store, [key])
    return "replayed"


def _state(connection: sqlite3.Connection, key: Key) -> str | None:
    query = "SELECT state FROM delivery WHERE reading = ? AND endpoint = ?"
    row = connection.execute(query, key).fetchone()
    return row[0] if row else None


def _owe(connection: sqlite3.Connection, key: Key, now: float) -> None:
    device = _device(connection, key.first)
    connection.execute(_OWE, (*key, device, now, now))
    connection.execute(_TO_PENDING[None], (key.second,))
    touch(connection, key.second, device)


def _revive(connection: sqlite3.Connection, key: Key, *, state: str, now: float) -> bool:
    if connection.execute(_REVIVE, (now, *key, state)).rowcount == 0:
        return False
    # Attempts are numbered from 1 again: the old ones would mix with the new.
    connection.execute("DELETE FROM attempt WHERE reading = ? AND endpoint = ?", key)
    connection.execute(_TO_PENDING[state], (key.second,))
    touch(connection, key.second, _device(connection, key.first))
    return True


def _device(connection: sqlite3.Connection, reading: int) -> str:
    row = connection.execute("SELECT device FROM reading WHERE number = ?", (reading,)).fetchone()
    device: str = row[0]
    return device


def discard(file: OutboxFile, chosen: Chosen) -> int:
    """Erase dead letters with everything that only they need; they stay counted as dead. Returns how many."""
    erased = 0
    for keys in chosen.chunks():
        with file.transaction() as store:
            dead = [key for key in keys if _state(store.connection, key) == "dead"]
            forget_deliveries(store, list(dead))
        erased += len(dead)
    return erased
