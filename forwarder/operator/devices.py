"""Every device, with its last report, its usual interval and its endpoints."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from forwarder.outbox import DeliveryRecord, DeviceRecord, OutboxAccess, Quarantined, Selection
from forwarder.reading import Device
from forwarder.routes import Routes

SHOWN_QUARANTINED = 10


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One device as an operator sees it. Instants are UNIX seconds."""

    device: Device
    record: DeviceRecord | None
    """The outbox's record of it; None: it was never heard of."""
    endpoints: tuple[str, ...] | None
    """The endpoints that get it; None: the routing file cannot be used, so nobody knows."""
    quarantined: int
    """How many of its messages wait in quarantine."""

    @property
    def silent_since(self) -> float | None:
        """Since when it is silent, as the running service judges, or the last one that ran."""
        return self.record.silent_since if self.record else None

    @property
    def is_unrouted(self) -> bool:
        return self.endpoints == ()

    @property
    def last_at(self) -> float | None:
        return self.record.last_at if self.record else None

    @property
    def usual_interval(self) -> float | None:
        return self.record.usual_interval if self.record else None


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """All that is known about one device."""

    status: DeviceStatus
    because: Mapping[str, tuple[str, ...]]
    """The rules that match the device, by endpoint."""
    deliveries: Sequence[DeliveryRecord]
    """The deliveries of its last reading, as long as that is kept."""
    messages: Sequence[Quarantined]
    """Its newest messages in quarantine."""


def read_devices(outbox: OutboxAccess, routes: Routes | None) -> list[DeviceStatus]:
    """All devices that were heard of, have messages in quarantine, or stand in the routing file, by name."""
    records = {record.device: record for record in outbox.devices()}
    quarantined = outbox.quarantined_devices()
    names = sorted({*records, *quarantined, *(routes.named_behind("") if routes else ())})
    return [_judge(one, records.get(one), routes, quarantined.get(one, 0)) for one in names]


def devices_behind(
    outbox: OutboxAccess,
    routes: Routes,
    name: str,
    *,
    limit: int,
    silent: bool = False,
    unrouted: bool = False,
) -> list[DeviceStatus]:
    """The first devices behind this name. No more than a name is read of any other."""
    names = _names_behind(outbox, routes, name, None if unrouted else limit, only_silent=silent)
    if unrouted:
        names = [one for one in names if not routes.match(one)]
    chosen = nsmallest(limit, set(names))
    records = {record.device: record for record in outbox.devices(chosen)}
    quarantined = outbox.quarantined_devices(chosen)
    return [_judge(one, records.get(one), routes, quarantined.get(one, 0)) for one in chosen]


def _names_behind(
    outbox: OutboxAccess, routes: Routes, name: str, limit: int | None, *, only_silent: bool
) -> list[Device]:
    heard = outbox.device_names(behind=name, limit=limit, only_silent=only_silent)
    if only_silent:
        return heard
    waiting = outbox.quarantined_names(behind=name, limit=limit)
    # The routes do not name a device that no endpoint wants.
    named = () if limit is None else routes.named_behind(name, limit=limit)
    return [*heard, *waiting, *named]


def read_device_file(outbox: OutboxAccess, device: Device, routes: Routes | None) -> DeviceFile:
    """Everything about one device, known or not."""
    record = next(iter(outbox.devices([device])), None)
    quarantined = outbox.quarantined_devices([device]).get(device, 0)
    return DeviceFile(
        status=_judge(device, record, routes, quarantined),
        because=_because(device, routes),
        deliveries=_last_deliveries(outbox, device, record),
        messages=_newest_quarantined(outbox, device),
    )


def _because(device: Device, routes: Routes | None) -> dict[str, tuple[str, ...]]:
    if routes is None:
        return {}
    return {name: routes.reasons(device, name) for name in routes.match(device)}


def _last_deliveries(
    outbox: OutboxAccess, device: Device, record: DeviceRecord | None
) -> list[DeliveryRecord]:
    if record is None or record.measured_at is None:
        return []
    return outbox.records(outbox.deliveries_measured(device, record.measured_at))


def _newest_quarantined(outbox: OutboxAccess, device: Device) -> list[Quarantined]:
    chosen = outbox.choose_quarantined(Selection(device=device))
    newest = deque((key for keys in chosen.chunks() for key in keys), maxlen=SHOWN_QUARANTINED)
    return outbox.quarantined(list(newest))


def _judge(
    device: Device, record: DeviceRecord | None, routes: Routes | None, quarantined: int
) -> DeviceStatus:
    endpoints = routes.match(device) if routes is not None else None
    return DeviceStatus(device, record, endpoints, quarantined)
