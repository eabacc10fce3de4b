"""The outbox as an operator's command opens it: beside the running service, or without one."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from forwarder.outbox.operations import Operation
from forwarder.outbox.records import (
    AuditRecord,
    DeliveryFile,
    DeliveryId,
    DeliveryRecord,
    DeviceRecord,
    Found,
    Minute,
    Outlook,
    Overview,
    Purged,
    Quarantined,
    Selection,
    Share,
)
from forwarder.reading import Device, WebhookId

T = TypeVar("T")
K_co = TypeVar("K_co", covariant=True)


class Chosen(Protocol[K_co]):
    """The rows that a command means, noted once: what the service does meanwhile adds none to them."""

    @property
    def count(self) -> int:
        """How many they were."""

    def chunks(self) -> Iterator[Sequence[K_co]]:
        """All of them, some hundred at a time, with a pause after each for the service."""


class OutboxAccess(Protocol):
    """
    One connection to the outbox.

    Every read is as of one instant, and every call of `operate` one transaction. Raises OutboxUnavailable or
    OutboxDamaged.
    """

    def operate(self, *operations: Operation[T]) -> list[T]:
        """Do them in one transaction and answer each; on disk afterwards, or nothing is."""

    def now(self) -> float:
        """UNIX seconds by the clock that the service goes by: a database's own, where the outbox is in one."""

    def identity(self) -> str:
        """Which outbox this is: a random id, made with it."""

    def overview(self) -> Overview:
        """The whole outbox at one instant."""

    def endpoint_names(self) -> list[str]:
        """Of all that the outbox has ever known."""

    def choose_dead_letters(self, selection: Selection) -> Chosen[DeliveryId]:
        """Dead letters, those that died first in front."""

    def choose_deliveries(self, selection: Selection) -> Chosen[DeliveryId]:
        """Deliveries in any state, the newest in front."""

    def outlook(self, selection: Selection, *, most: int) -> Outlook:
        """The readings in which the newest `most` deliveries are, of those that may be meant."""

    def choose_quarantined(self, selection: Selection) -> Chosen[int]:
        """Messages in quarantine, in order of arrival."""

    def endpoints_of(self, chosen: Chosen[DeliveryId]) -> list[str]:
        """The names of the endpoints whose deliveries were chosen last."""

    def find_ids(self, ids: Sequence[WebhookId]) -> list[Found]:
        """The deliveries of these readings, all at once: each call may look at every reading."""

    def find_beginning(self, beginning: str) -> list[Found]:
        """Those of readings whose ids begin so: `msg_` and at most 32 hex digits."""

    def find_key(self, key: DeliveryId) -> list[Found]:
        """That one, or none."""

    def knows_device(self, device: Device) -> bool:
        """Whether a reading, a quarantined message or a record is of this device."""

    def devices(self, names: Sequence[Device] | None = None) -> list[DeviceRecord]:
        """Every device that was heard of, or some of them, by name."""

    def device_names(
        self, *, behind: str, limit: int | None = None, only_silent: bool = False
    ) -> list[Device]:
        """Names behind this one of devices that were heard of: the first in their order, or all as they come."""

    def quarantined_devices(self, names: Sequence[Device] | None = None) -> dict[Device, int]:
        """How many messages in quarantine are of which device, or of which of some devices."""

    def quarantined_names(self, *, behind: str, limit: int | None = None) -> list[Device]:
        """The same of devices whose messages are in quarantine."""

    def deliveries_measured(self, device: Device, measured_at: str) -> list[DeliveryId]:
        """Those of its readings of that instant."""

    def records(self, keys: Sequence[DeliveryId]) -> list[DeliveryRecord]:
        """The deliveries of these keys that are there still."""

    def records_with_data(
        self, keys: Sequence[DeliveryId]
    ) -> list[tuple[DeliveryRecord, bytes | None]]:
        """The same, each with the event's data object where that is kept."""

    def delivery_file(self, key: DeliveryId) -> DeliveryFile | None:
        """All there is about one delivery; None when it is not there."""

    def quarantined(self, numbers: Sequence[int]) -> list[Quarantined]:
        """The messages of these numbers that are there still."""

    def minutes(self, endpoint: str, *, since: float) -> list[Minute]:
        """What minutes came to, of an endpoint, or of the line, whose name is empty; in order of time."""

    def audit(self, *, limit: int, before: int | None = None) -> list[AuditRecord]:
        """The newest records of changes, or those before the one of that number; the newest in front."""

    def shares(self) -> list[Share]:
        """Every link to an endpoint, also those that are over, in the order in which they were made."""

    def purge(self, device: Device) -> Purged:
        """Erase the device's deliveries, readings and quarantined messages, and the bytes that they left behind."""
