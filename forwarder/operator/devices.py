"""Every device: when it last reported, how often it does, who gets it."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from forwarder.outbox import DeliveryRecord, DeviceRecord, OutboxAccess, Quarantined, Selection
from forwarder.reading import Device
from forwarder.routes import Routes

SHOWN_QUARANTINED = 10


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One device as an operator sees it; instants are UNIX seconds."""

    device: Device
    record: DeviceRecord | None
    """None: it was never heard of."""
    endpoints: tuple[str, ...] | None
    """Who gets it; None: the routing file cannot be used, so nobody knows."""
    quarantined: int
    """Messages of it that wait in quarantine."""

    @property
    def silent_since(self) -> float | None:
        """By the judgement of the running service, or of the one that stopped."""
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
    """All there is about one device."""

    status: DeviceStatus
    because: Mapping[str, tuple[str, ...]]
    """By endpoint, which of its rules match the device."""
    deliveries: Sequence[DeliveryRecord]
    """What became of its last reading, as long as that is kept."""
    messages: Sequence[Quarantined]
    """The newest of it in quarantine."""


def read_devices(outbox: OutboxAccess, routes: Routes | None) -> list[DeviceStatus]:
    """All that were heard of, that wait in quarantine, or that the routing file names; by name."""
    return list(devices_behind(outbox, routes, ""))


def devices_behind(
    outbox: OutboxAccess, routes: Routes | None, name: str
) -> Iterator[DeviceStatus]:
    """The same behind this name, each judged when it is asked for: who gets it takes longest to find."""
    records = {record.device: record for record in outbox.devices()}
    quarantined = outbox.quarantined_devices()
    names = sorted({*records, *quarantined, *_named(routes)})
    for one in names[bisect_right(names, name) :]:
        yield _judge(one, records.get(one), routes, quarantined.get(one, 0))


def read_device_file(outbox: OutboxAccess, device: Device, routes: Routes | None) -> DeviceFile:
    """Everything about one of them, known or not."""
    record = next((one for one in outbox.devices() if one.device == device), None)
    quarantined = outbox.quarantined_devices().get(device, 0)
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


def _named(routes: Routes | None) -> Iterable[Device]:
    """By an endpoint, itself or with a group; a group that none uses brings nothing."""
    return () if routes is None else set().union(*map(routes.devices_of, routes.endpoints))


def _judge(
    device: Device, record: DeviceRecord | None, routes: Routes | None, quarantined: int
) -> DeviceStatus:
    endpoints = routes.match(device) if routes is not None else None
    return DeviceStatus(device, record, endpoints, quarantined)
