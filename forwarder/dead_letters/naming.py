"""
Which deliveries an operator means by an id, and whether a device is one.

An id is the webhook id that logs, headers and receivers know: `msg_` and 32 hex digits, or the first of them, as many
as tell it from every other. One reading may be owed to several endpoints; its id means all of these deliveries.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from forwarder.dead_letters.file import OutboxFile
from forwarder.dead_letters.selection import DeliveryId
from forwarder.errors import ConfigurationError, OperationError
from forwarder.reading import Device, WebhookId, parse_mac

_DIGITS = 32
_BEGINNING = re.compile(rf"msg_[0-9a-f]{{1,{_DIGITS}}}")
# What commands printed up to 0.1: the reading's number and the endpoint's row. It is understood for one version more.
_NUMBERS = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_SHOWN = 10
_FOUND = """
    SELECT 'msg_' || lower(hex(r.id)), d.reading, d.endpoint, d.state
    FROM reading r JOIN delivery d ON d.reading = r.number WHERE"""

_KNOWN = """
    SELECT EXISTS (SELECT 1 FROM reading WHERE device = :device)
    OR EXISTS (SELECT 1 FROM quarantine WHERE device = :device)"""

_Found = tuple[WebhookId, DeliveryId, str]
"""A delivery with its webhook id, and its state."""


def name_deliveries(file: OutboxFile, names: Sequence[str]) -> list[DeliveryId]:
    """
    The deliveries, in any state, that these ids mean.

    Raises ConfigurationError for what is no id or the beginning of several, OperationError when there is none.
    """
    found = _find(file, names)
    return [key for name in names for _, key, _ in _one_reading(name, found[name], "delivery")]


def name_dead_letters(file: OutboxFile, names: Sequence[str]) -> list[DeliveryId]:
    """
    The dead letters that these ids mean: a beginning has to tell one only from those of other dead letters.

    Raises as name_deliveries does, and OperationError for a delivery that is not dead.
    """
    found, keys = _find(file, names), []
    for name in names:
        dead = [one for one in found[name] if one[2] == "dead"]
        if not dead:
            _explain(name, found[name])
        keys += [key for _, key, _ in _one_reading(name, dead, "dead letter")]
    return keys


def require_device(file: OutboxFile, device: Device | None) -> None:
    """Raises ConfigurationError for a name that is no MAC, and that nothing in the outbox goes by."""
    if device is None or parse_mac(device):
        return
    with file.snapshot() as connection:
        (is_known,) = connection.execute(_KNOWN, {"device": device}).fetchone()
    if not is_known:
        raise ConfigurationError(
            f"{device!r} is not a device: expected a MAC such as ECC9FF5C7AD4, and nothing in the outbox goes by"
            " that name"
        )


def _find(file: OutboxFile, names: Sequence[str]) -> Mapping[str, list[_Found]]:
    for name in names:
        if not (_BEGINNING.fullmatch(name) or _NUMBERS.fullmatch(name)):
            raise ConfigurationError(
                f"{name!r} is not the id of a delivery; they look like msg_846ae5c0b3…, and a beginning is enough"
            )
    found: defaultdict[str, list[_Found]] = defaultdict(list)
    with file.snapshot() as connection:
        for name, row in _rows(connection, names):
            found[name].append(row)
    return found


def _rows(connection: sqlite3.Connection, names: Sequence[str]) -> Iterator[tuple[str, _Found]]:
    """Rows are not found by their ids without a look at all of them, so whole ids are looked for together."""
    whole = [name for name in names if len(name) == len("msg_") + _DIGITS]
    if whole:
        places = ", ".join("?" * len(whole))
        ids = [bytes.fromhex(name.removeprefix("msg_")) for name in whole]
        for row in _select(connection, f"r.id IN ({places})", ids):
            yield row[0], row
    for name in dict.fromkeys(names):
        if numbers := _NUMBERS.fullmatch(name):
            key = [int(number) for number in numbers.groups()]
            rows = _select(connection, "d.reading = ? AND d.endpoint = ?", key)
        elif name not in whole:
            rows = _select(connection, "r.id BETWEEN ? AND ?", _bounds(name))
        else:
            continue
        yield from ((name, row) for row in rows)


def _bounds(beginning: str) -> list[bytes]:
    digits = beginning.removeprefix("msg_")
    return [bytes.fromhex(digits.ljust(_DIGITS, fill)) for fill in "0f"]


def _select(
    connection: sqlite3.Connection, condition: str, values: Sequence[object]
) -> Iterator[_Found]:
    query = f"{_FOUND} {condition} ORDER BY d.reading, d.endpoint"
    for identity, reading, endpoint, state in connection.execute(query, values):
        yield WebhookId(identity), DeliveryId(reading, endpoint), state


def _one_reading(name: str, found: Sequence[_Found], what: str) -> Sequence[_Found]:
    """`found` when there is something, and all of one webhook id."""
    if not found:
        raise OperationError(
            f"there is no {what} {name}; it was never made, or forgotten after its time"
        )
    ids = list(dict.fromkeys(identity for identity, _, _ in found))
    if len(ids) > 1:
        more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
        raise ConfigurationError(
            f"{name} is the beginning of {len(ids):,} ids, give more of it: {', '.join(ids[:_SHOWN])}{more}"
        )
    return found


def _explain(name: str, found: Sequence[_Found]) -> None:
    """Raises OperationError when what is found is not dead but something else."""
    if found:
        identity, _, _ = _one_reading(name, found, "delivery")[0]
        states = " and ".join(dict.fromkeys(state for _, _, state in found))
        raise OperationError(
            f"{identity} is not a dead letter, it is {states}; see: forwarder deliveries show {identity}"
        )
