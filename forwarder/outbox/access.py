"""The outbox as a command of an operator opens it, beside the running service or without one."""

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
    """The rows that a command means, noted once; the service adds no row meanwhile."""

    @property
    def count(self) -> int:
        """How many rows were noted."""

    def chunks(self) -> Iterator[Sequence[K_co]]:
        """All rows, some hundred at a time, with a pause after each chunk for the service."""


class OutboxAccess(Protocol):
    """
    One connection to the outbox. A read is as of one instant, and a call of `operate` is one transaction.

    All raise OutboxUnavailable or OutboxDamaged.
    """

    def operate(self, *operations: Operation[T]) -> list[T]:
        """Make the operations in one transaction, and answer each; all are on disk afterwards, or none."""

    def now(self) -> float:
        """UNIX seconds by the clock of the service: a database's own, where the outbox is in one."""

    def identity(self) -> str:
        """The outbox's random id, made with it."""

    def overview(self) -> Overview:
        """The whole outbox as of one instant."""

    def endpoint_names(self) -> list[str]:
        """The names of all endpoints that the outbox has ever known."""

    def choose_dead_letters(self, selection: Selection) -> Chosen[DeliveryId]:
        """Choose dead letters, those that died first in front."""

    def choose_deliveries(self, selection: Selection) -> Chosen[DeliveryId]:
        """Choose deliveries in any state, the newest in front."""

    def outlook(self, selection: Selection, *, most: int) -> Outlook:
        """Bound the readings that have the newest `most` deliveries which the selection may mean."""

    def choose_quarantined(self, selection: Selection) -> Chosen[int]:
        """Choose messages in quarantine, in order of arrival."""

    def endpoints_of(self, chosen: Chosen[DeliveryId]) -> list[str]:
        """The names of the endpoints whose deliveries the last choice has noted."""

    def find_ids(self, ids: Sequence[WebhookId]) -> list[Found]:
        """The deliveries of these readings, together because each call may look at every reading."""

    def find_beginning(self, beginning: str) -> list[Found]:
        """The deliveries of readings with this beginning of an id: `msg_` and at most 32 hex digits."""

    def find_key(self, key: DeliveryId) -> list[Found]:
        """The delivery of this key, or none."""

    def knows_device(self, device: Device) -> bool:
        """Whether a reading, a quarantined message or a record is of this device."""

    def devices(self, names: Sequence[Device] | None = None) -> list[DeviceRecord]:
        """The records of all devices, or of those named, by name."""

    def device_names(
        self, *, behind: str, limit: int | None = None, only_silent: bool = False
    ) -> list[Device]:
        """Names of known devices behind this one: the first `limit` in order, or all as they come."""

    def quarantined_devices(self, names: Sequence[Device] | None = None) -> dict[Device, int]:
        """How many messages in quarantine each device has, of all devices or of those named."""

    def quarantined_names(self, *, behind: str, limit: int | None = None) -> list[Device]:
        """Names behind this one of devices with messages in quarantine, as `device_names` orders them."""

    def deliveries_measured(self, device: Device, measured_at: str) -> list[DeliveryId]:
        """The deliveries of the device's readings that were measured at this instant."""

    def records(self, keys: Sequence[DeliveryId]) -> list[DeliveryRecord]:
        """The deliveries of these keys that exist still."""

    def records_with_data(
        self, keys: Sequence[DeliveryId]
    ) -> list[tuple[DeliveryRecord, bytes | None]]:
        """The deliveries of these keys that exist still, each with its event's data object, if kept."""

    def delivery_file(self, key: DeliveryId) -> DeliveryFile | None:
        """All there is about one delivery; None when there is none."""

    def quarantined(self, numbers: Sequence[int]) -> list[Quarantined]:
        """The messages of these numbers that exist still."""

    def minutes(self, endpoint: str, *, since: float) -> list[Minute]:
        """The minutes of an endpoint, or of the line, whose name is empty; in order of time."""

    def audit(self, *, limit: int, before: int | None = None) -> list[AuditRecord]:
        """The newest records of changes, or those before number `before`; the newest in front."""

    def shares(self) -> list[Share]:
        """Every link to an endpoint's deliveries, expired ones too, in the order in which they were made."""

    def purge(self, device: Device) -> Purged:
        """Erase the device's deliveries, readings and quarantined messages, and the bytes that these left behind."""
