"""A start recalls from the outbox which readings `min_interval` has let through before it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from forwarder.errors import OutboxError
from forwarder.outbox import OutboxAccess, Selection, exists, opened
from forwarder.reading import Device
from forwarder.settings import OutboxPlace


def last_let_through(
    outbox: OutboxPlace, intervals: Mapping[str, float], *, now: float
) -> Iterator[tuple[str, Device, float]]:
    """
    The endpoint, device and `received_at` of each reading within the endpoint's interval that is still known.

    An outbox that cannot be read costs each device one reading too many, not the start.
    """
    if not intervals:
        return
    with suppress(OutboxError):
        if not exists(outbox):
            return
        with opened(outbox, is_read_only=True) as access:
            yield from _let_through(access, intervals, now=now)


def _let_through(
    access: OutboxAccess, intervals: Mapping[str, float], *, now: float
) -> Iterator[tuple[str, Device, float]]:
    for name, seconds in intervals.items():
        chosen = access.choose_deliveries(Selection(endpoint=name, since=now - seconds))
        for keys in chosen.chunks():
            for record in access.records(keys):
                if record.state != "thinned":
                    yield name, record.device, record.received_at
