"""
The deliveries that an operator means by an id.

An id is the webhook id that logs, headers and receivers know: `msg_` and 32 hex digits. The first digits will do, if
they tell it from every other. One reading may be owed to several endpoints. Its id means all of these deliveries.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from forwarder.errors import ConfigurationError, OperationError
from forwarder.outbox import DeliveryId, Found, OutboxAccess
from forwarder.reading import WebhookId

_BEGINNING = re.compile(r"msg_[0-9a-f]{1,32}")
_WHOLE = re.compile(r"msg_[0-9a-f]{32}")
# Ids of versions up to 0.1: the reading's number and the endpoint's row. They are understood for one version more.
_NUMBERS = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_SHOWN = 10


def name_deliveries(outbox: OutboxAccess, names: Sequence[str]) -> list[DeliveryId]:
    """
    The deliveries, in any state, that these ids mean.

    Raises ConfigurationError for a text that is no id, or begins several, and OperationError when there is no delivery.
    """
    found = _find(outbox, names)
    return [one.key for name in names for one in _one_reading(name, found[name], "delivery")]


def name_dead_letters(outbox: OutboxAccess, names: Sequence[str]) -> list[DeliveryId]:
    """
    The dead letters that these ids mean. A beginning only has to tell its id from those of other dead letters.

    Raises as `name_deliveries` does, and OperationError for a delivery that is not dead.
    """
    found, keys = _find(outbox, names), []
    for name in names:
        dead = [one for one in found[name] if one.state == "dead"]
        if found[name] and not dead:
            raise _not_dead(_one_reading(name, found[name], "delivery"))
        keys += [one.key for one in _one_reading(name, dead, "dead letter")]
    return keys


def _find(outbox: OutboxAccess, names: Sequence[str]) -> Mapping[str, list[Found]]:
    """The deliveries that each name may mean."""
    found: defaultdict[str, list[Found]] = defaultdict(list)
    for one in outbox.find_ids([WebhookId(name) for name in names if _WHOLE.fullmatch(name)]):
        found[one.webhook_id].append(one)
    for name in dict.fromkeys(names):
        if numbers := _NUMBERS.fullmatch(name):
            found[name] = outbox.find_key(DeliveryId(int(numbers[1]), int(numbers[2])))
        elif not _BEGINNING.fullmatch(name):
            raise ConfigurationError(
                f"{name!r} is not the id of a delivery; they look like msg_846ae5c0b3…, and a beginning is enough"
            )
        elif not _WHOLE.fullmatch(name):
            found[name] = outbox.find_beginning(name)
    return found


def _one_reading(name: str, found: Sequence[Found], what: str) -> Sequence[Found]:
    """`found`, if it is not empty and all of it has one webhook id."""
    if not found:
        raise OperationError(
            f"there is no {what} {name}; it was never made, or forgotten after its time"
        )
    ids = list(dict.fromkeys(one.webhook_id for one in found))
    if len(ids) > 1:
        more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
        raise ConfigurationError(
            f"{name} is the beginning of {len(ids):,} ids, give more of it: {', '.join(ids[:_SHOWN])}{more}"
        )
    return found


def _not_dead(found: Sequence[Found]) -> OperationError:
    identity = found[0].webhook_id
    states = " and ".join(dict.fromkeys(one.state for one in found))
    return OperationError(
        f"{identity} is not a dead letter, it is {states}; see: forwarder deliveries show {identity}"
    )
