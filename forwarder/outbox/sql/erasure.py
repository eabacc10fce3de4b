"""An erasure removes one device's rows in chunks, whatever engine keeps them."""

from collections import Counter
from collections.abc import Callable

from forwarder.notice import OPERATOR, SEVERAL_DEVICES
from forwarder.outbox.operations import (
    BlankAnswers,
    DiscardQuarantined,
    EraseDeliveries,
    ForgetDevice,
)
from forwarder.outbox.records import DeliveryId
from forwarder.outbox.sql.access import Access
from forwarder.outbox.sql.records import Clauses
from forwarder.reading import Device, parse_mac

MOST_PASSES = 10
"""The erasure ends after this many passes, because a device that still sends brings new rows meanwhile."""

_DELIVERIES = "SELECT reading, endpoint FROM delivery WHERE device = ?"
_NOTICES = """
    SELECT delivery.reading, delivery.endpoint FROM delivery JOIN body ON body.reading = delivery.reading
    WHERE delivery.device = ? AND delivery.endpoint = (SELECT id FROM endpoint WHERE name = ?) AND {data}"""
"""Finds notices to the operator about several devices, of which this is one."""
_READINGS_ALONE = """
    SELECT number, 0 FROM reading WHERE device = ?
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.reading = reading.number)"""
_MESSAGES = "SELECT id, 0 FROM quarantine WHERE device = ? OR {payload} OR {topic} OR {detail}"
_ANSWERS = "SELECT DISTINCT reading, endpoint FROM attempt WHERE {answer} OR {detail}"


def spellings(device: Device) -> list[str]:
    """The device's MAC in every usual spelling, in lower case; a name that is no MAC has none, and is never found."""
    if parse_mac(device) is None:
        return []
    pairs = [device[index : index + 2] for index in range(0, 12, 2)]
    fours = [device[index : index + 4] for index in range(0, 12, 4)]
    every = [device, ":".join(pairs), "-".join(pairs), ".".join(fours)]
    return [spelling.lower() for spelling in every]


def erase_rows(
    access: Access, device: Device, mentions: Callable[[str], str]
) -> tuple[Counter[str], int]:
    """
    Erase all rows of the device, and its name in the rows of others.

    `mentions` turns a column into the condition that it holds the name. Returns the number of deliveries by state, and
    the number of quarantined messages.
    """
    states: Counter[str] = Counter()
    quarantined = 0
    for _ in range(MOST_PASSES):
        erased = _erase_deliveries(access, device, mentions)
        found = _erase_quarantined(access, device, mentions)
        states += erased
        quarantined += found
        if not erased and not found:
            break
    access.operate(ForgetDevice(device))
    _blank_answers(access, mentions)
    return states, quarantined


def _erase_deliveries(
    access: Access, device: Device, mentions: Callable[[str], str]
) -> Counter[str]:
    """Returns how many deliveries were in which state."""
    states: Counter[str] = Counter()
    for query in (
        Clauses(_DELIVERIES, [device]),
        Clauses(_NOTICES.format(data=mentions("data")), [SEVERAL_DEVICES, OPERATOR]),
    ):
        for keys in access.choose(query, DeliveryId).chunks():
            (erased,) = access.operate(EraseDeliveries(keys, device))
            states.update(erased)
    left = access.choose(Clauses(_READINGS_ALONE, [device]), DeliveryId)
    for keys in left.chunks():
        access.operate(EraseDeliveries(keys, device))
    return states


def _erase_quarantined(access: Access, device: Device, mentions: Callable[[str], str]) -> int:
    """Erase the device's messages, and those of other devices or of none that name it; returns how many."""
    query = _MESSAGES.format_map({name: mentions(name) for name in ("payload", "topic", "detail")})
    chosen = access.choose(Clauses(query, [device]), lambda number, _: number)
    for numbers in chosen.chunks():
        access.operate(DiscardQuarantined(numbers))
    return chosen.count


def _blank_answers(access: Access, mentions: Callable[[str], str]) -> None:
    """Blank answers that name the device, also in the attempts of others, because an answer may be to a batch."""
    query = _ANSWERS.format_map({name: mentions(name) for name in ("answer", "detail")})
    for keys in access.choose(Clauses(query, []), DeliveryId).chunks():
        access.operate(BlankAnswers(keys))
