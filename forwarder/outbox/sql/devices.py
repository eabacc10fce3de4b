"""Records of devices inside one transaction, each at its place."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from forwarder.outbox.records import DeviceRecord
from forwarder.outbox.sql.connection import Connection
from forwarder.reading import Device


class DeviceTable(ABC):
    """Keeps the records of devices, except those that a command has erased."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._erased_before: Collection[Device] = ()
        """Devices that the last transaction found erased; the loop may have asked for this one before it knew that."""

    @abstractmethod
    def _replace(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Write records, each at the place that it begins with."""

    def record(
        self, devices: Mapping[int, DeviceRecord | None], *, but: Collection[Device]
    ) -> None:
        """Keep records at their places, except those of devices that were erased meanwhile."""
        erased = {*self._erased_before, *but}
        self._replace(
            [(place, *one) for place, one in devices.items() if one and one.device not in erased]
        )
        empty = [(place,) for place, one in devices.items() if one is None]
        self._connection.executemany("DELETE FROM device WHERE place = ?", empty)

    def remember_erased(self, devices: Collection[Device]) -> None:
        """Remember, until the next commit, the devices that this one has found erased."""
        self._erased_before = devices
