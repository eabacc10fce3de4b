"""Records of devices inside one transaction, each at its place."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from forwarder.outbox.records import DeviceRecord
from forwarder.outbox.sql.connection import Connection
from forwarder.reading import Device


class DeviceTable(ABC):
    """Keeps what is known of devices, but of none that a command has erased."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._erased_before: Collection[Device] = ()
        """By the transaction before: this one may have begun before the loop heard of them."""

    @abstractmethod
    def _replace(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Write records, each at the place that it begins with."""

    def record(
        self, devices: Mapping[int, DeviceRecord | None], *, but: Collection[Device]
    ) -> None:
        """Keep records at their places, without those of devices that were erased meanwhile."""
        erased = {*self._erased_before, *but}
        self._replace(
            [(place, *one) for place, one in devices.items() if one and one.device not in erased]
        )
        empty = [(place,) for place, one in devices.items() if one is None]
        self._connection.executemany("DELETE FROM device WHERE place = ?", empty)

    def remember_erased(self, devices: Collection[Device]) -> None:
        """After a commit: what it has found erased."""
        self._erased_before = devices
