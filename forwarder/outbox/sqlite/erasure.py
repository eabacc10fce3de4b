"""
Erasing every trace of one device from the outbox file.

Rows go first, in chunks. Then the file is written anew, because a database keeps copies of moved rows in unused parts
of its pages, and deleted rows in its free pages (sqlite.org/lang_vacuum.html).
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.notice import OPERATOR, SEVERAL_DEVICES
from forwarder.outbox.operations import (
    BlankAnswers,
    DiscardQuarantined,
    EraseDeliveries,
    ForgetDevice,
    ForgetNotes,
)
from forwarder.outbox.records import DeliveryId, Purged
from forwarder.outbox.sqlite.file import is_running, translated
from forwarder.outbox.sqlite.records import Clauses
from forwarder.reading import Device, parse_mac

if TYPE_CHECKING:
    from forwarder.outbox.sqlite.access import SqliteAccess

MOST_PASSES = 10
"""A device that still sends brings new rows while old ones are erased."""
PATIENCE_SECONDS = 10.0
"""The service takes over in this time that lanes are gone; it looks every half second."""
CHECKPOINT_SECONDS = 10.0
"""The wait for readers until the write-ahead log can be emptied."""
_POLL_SECONDS = 0.05
_DELIVERIES = "SELECT reading, endpoint FROM delivery WHERE device = ?"
_NOTICES = """
    SELECT reading, delivery.endpoint FROM delivery JOIN body USING (reading)
    WHERE delivery.device = ? AND delivery.endpoint = (SELECT id FROM endpoint WHERE name = ?)
    AND mentions(data)"""
"""To the operator, about several devices of which this is one."""
_READINGS_ALONE = """
    SELECT number, 0 FROM reading WHERE device = ?1
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE reading = number)"""
_MESSAGES = """
    SELECT id, 0 FROM quarantine WHERE device = ? OR mentions(payload) OR mentions(topic) OR mentions(detail)"""
_ANSWERS = (
    "SELECT DISTINCT reading, endpoint FROM attempt WHERE mentions(answer) OR mentions(detail)"
)
_NOTES = "SELECT count(*) FROM touched_lane WHERE device = ?"


def purge(access: "SqliteAccess", device: Device) -> Purged:
    """Erase the device's deliveries, readings and quarantined messages, and the bytes that they left in the file."""
    mentions = _mentions(device)
    with translated(access.path):
        access.connection.execute("PRAGMA secure_delete = ON")
        access.connection.create_function("mentions", 1, mentions, deterministic=True)
    states: Counter[str] = Counter()
    quarantined = 0
    for _ in range(MOST_PASSES):
        erased = _erase_deliveries(access, device)
        found = _erase_quarantined(access, device)
        states += erased
        quarantined += found
        if not erased and not found:
            break
    access.operate(ForgetDevice(device))
    _blank_answers(access)
    _forget_notes(access, device)
    is_rewritten = _rewrite(access)
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


def _erase_deliveries(access: "SqliteAccess", device: Device) -> Counter[str]:
    """Returns how many, by the state that they were in."""
    states: Counter[str] = Counter()
    for query in (
        Clauses(_DELIVERIES, [device]),
        Clauses(_NOTICES, [SEVERAL_DEVICES, OPERATOR]),
    ):
        for keys in access.choose(query, DeliveryId).chunks():
            (erased,) = access.operate(EraseDeliveries(keys, device))
            states.update(erased)
    left = access.choose(Clauses(_READINGS_ALONE, [device]), DeliveryId)
    for keys in left.chunks():
        access.operate(EraseDeliveries(keys, device))
    return states


def _erase_quarantined(access: "SqliteAccess", device: Device) -> int:
    """Also the messages of other devices, or of none, that name this one."""
    chosen = access.choose(Clauses(_MESSAGES, [device]), lambda number, _: number)
    for numbers in chosen.chunks():
        access.operate(DiscardQuarantined(numbers))
    return chosen.count


def _blank_answers(access: "SqliteAccess") -> None:
    """A receiver's answer to a batch may name a device in the attempts of others."""
    for keys in access.choose(Clauses(_ANSWERS, []), DeliveryId).chunks():
        access.operate(BlankAnswers(keys))


def _forget_notes(access: "SqliteAccess", device: Device) -> None:
    """The notes for the service hold the device's name: they go once it has read them, or when no service runs."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and is_running(access.path.parent):
        with translated(access.path):
            (left,) = access.connection.execute(_NOTES, (device,)).fetchone()
        if not left:
            return
        time.sleep(_POLL_SECONDS)
    access.operate(ForgetNotes(device))


def _rewrite(access: "SqliteAccess") -> bool:
    connection = access.connection
    connection.execute("DROP TABLE IF EXISTS temp.chosen")
    # The new file is made in the data directory, because other folders may be too small or read-only.
    connection.execute("PRAGMA temp_store = FILE")
    directory = str(access.path.parent.absolute()).replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory = '{directory}'")
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError:  # no room for it, or another program holds the file
        return False
    with translated(access.path):
        return _empty_log(connection)


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Whether the write-ahead log was carried over and emptied; readers are waited for."""
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
