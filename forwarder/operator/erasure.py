"""
Erasing every trace of one device from the outbox file.

Rows first, in chunks. Then the file is written anew: a database that has moved rows about keeps copies of their bytes
in the unused parts of its pages, and what was deleted long ago is still in its free ones (sqlite.org/lang_vacuum.html).
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forwarder.operator.file import Key, OutboxFile, touch
from forwarder.outbox.sqlite.file import is_running, translated
from forwarder.outbox.sqlite.operations import forget_deliveries
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device, parse_mac

MOST_PASSES = 10
"""A device that still sends brings new rows while the old ones are erased."""
PATIENCE_SECONDS = 2.0
"""How long the service gets to take over that lanes are gone; it looks every half second."""
CHECKPOINT_SECONDS = 10.0
"""How long readers are waited for until the write-ahead log can be emptied."""
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Purged:
    """What was erased."""

    deliveries: int
    pending: int
    """Of these, those that were not delivered yet: they count as dead."""
    quarantined: int
    is_rewritten: bool
    """Whether the file holds no stale bytes either; when not, the purge is to be run again."""


def purge(file: OutboxFile, device: Device) -> Purged:
    """Erase the device's deliveries, readings and quarantined messages, and the bytes that they left in the file."""
    mentions = _mentions(device)
    with translated(file.path):
        file.connection.execute("PRAGMA secure_delete = ON")
        file.connection.create_function("mentions", 1, mentions, deterministic=True)
    states: Counter[str] = Counter()
    quarantined = 0
    for _ in range(MOST_PASSES):
        erased = _erase_deliveries(file, device)
        found = _erase_quarantined(file, device)
        states += erased
        quarantined += found
        if not erased and not found:
            break
    _blank_answers(file)
    _forget_touched(file, device)
    is_rewritten = _rewrite(file)
    return Purged(states.total(), states["pending"], quarantined, is_rewritten)


def _mentions(device: Device) -> Callable[[object], bool]:
    """Whether a text or some bytes hold the device's MAC in any spelling; other names are not searched for."""
    if parse_mac(device) is None:
        return lambda _: False
    pairs = [device[index : index + 2] for index in range(0, 12, 2)]
    fours = [device[index : index + 4] for index in range(0, 12, 4)]
    spellings = [device, ":".join(pairs), "-".join(pairs), ".".join(fours)]
    needles = [spelling.lower().encode() for spelling in spellings]

    def mentions(value: object) -> bool:
        text = value if isinstance(value, bytes) else str(value).encode()
        lower = text.lower()
        return any(needle in lower for needle in needles)

    return mentions


def _erase_deliveries(file: OutboxFile, device: Device) -> Counter[str]:
    """Returns how many, by the state that they were in."""
    states: Counter[str] = Counter()
    chosen = file.choose("SELECT reading, endpoint FROM delivery WHERE device = ?", (device,))
    for keys in chosen.chunks():
        with file.transaction() as store:
            states.update(_erase(store, keys, device))
    left = file.choose(
        "SELECT number, 0 FROM reading WHERE device = ?1 AND NOT EXISTS"
        " (SELECT 1 FROM delivery WHERE reading = number)",
        (device,),
    )
    for keys in left.chunks():
        with file.transaction() as store:
            forget_deliveries(store, list(keys))
    return states


def _erase(store: Store, keys: list[Key], device: Device) -> Counter[str]:
    states: Counter[str] = Counter()
    for key in keys:
        row = store.connection.execute(
            "SELECT state FROM delivery WHERE reading = ? AND endpoint = ?", key
        ).fetchone()
        if row is None:
            continue
        states[row[0]] += 1
        if row[0] == "pending":
            bury = "UPDATE endpoint SET dead = dead + 1 WHERE id = ?"
            store.connection.execute(bury, (key.second,))
            touch(store.connection, key.second, device)
    forget_deliveries(store, list(keys))
    return states


def _erase_quarantined(file: OutboxFile, device: Device) -> int:
    """Also the messages of other devices, or of none, that name this one."""
    chosen = file.choose(
        "SELECT id, 0 FROM quarantine WHERE device = ?"
        " OR mentions(payload) OR mentions(topic) OR mentions(detail)",
        (device,),
    )
    for keys in chosen.chunks():
        with file.transaction() as store:
            store.connection.executemany(
                "DELETE FROM quarantine WHERE id = ?", ((key.first,) for key in keys)
            )
    return chosen.count


def _blank_answers(file: OutboxFile) -> None:
    """A receiver's answer to a batch may name a device in the attempts of others."""
    chosen = file.choose(
        "SELECT DISTINCT reading, endpoint FROM attempt WHERE mentions(answer) OR mentions(detail)",
        (),
    )
    for keys in chosen.chunks():
        with file.transaction() as store:
            store.connection.executemany(
                "UPDATE attempt SET answer = x'', detail = '' WHERE reading = ? AND endpoint = ?",
                keys,
            )


def _forget_touched(file: OutboxFile, device: Device) -> None:
    """The notes for the service hold the device's name: they go once it has read them, or when there is none."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and is_running(file.path.parent):
        with file.snapshot() as connection:
            query = "SELECT count(*) FROM touched_lane WHERE device = ?"
            (left,) = connection.execute(query, (device,)).fetchone()
        if not left:
            return
        time.sleep(_POLL_SECONDS)
    with file.transaction() as store:
        store.connection.execute("DELETE FROM touched_lane WHERE device = ?", (device,))


def _rewrite(file: OutboxFile) -> bool:
    connection = file.connection
    connection.execute("DROP TABLE IF EXISTS temp.chosen")
    # In the data directory: elsewhere may be too small for it, or not to be written to.
    connection.execute("PRAGMA temp_store = FILE")
    directory = str(file.path.parent.absolute()).replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory = '{directory}'")
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError:  # no room for it, or another program holds the file
        return False
    with translated(file.path):
        return _empty_log(connection)


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Whether the write-ahead log is gone into the file; one who still reads in it is waited for."""
    until = time.monotonic() + CHECKPOINT_SECONDS
    while time.monotonic() < until:
        (is_blocked, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_blocked:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def copies_aside(path: Path) -> list[Path]:
    """Damaged outboxes that were moved aside: they may hold anything still."""
    return sorted(path.parent.glob(f"{path.name}.damaged-*"))
