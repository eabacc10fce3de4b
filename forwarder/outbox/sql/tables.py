"""
The outbox's tables inside one transaction, which its caller owns; each engine adds statements of its own.

Every method can be run twice with the same outcome, so a commit that failed is simply tried again.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.outbox.changes import LaneKey, LaneRows, Run
from forwarder.outbox.intake import NewQuarantined, NewReading, Recipient
from forwarder.outbox.settlement import Settlement
from forwarder.outbox.sql import queries
from forwarder.outbox.sql.connection import Connection
from forwarder.outbox.sql.devices import DeviceTable
from forwarder.outbox.sql.endings import KEPT_ATTEMPTS, columns
from forwarder.outbox.sql.endpoints import EndpointTable
from forwarder.outbox.sql.quarantine import Quarantine
from forwarder.reading import Device

NO_ENDPOINT = 0
"""A note for the running service with this endpoint says that a command has erased the device itself."""

_OLDER = """
    SELECT reading FROM delivery
    WHERE endpoint = ? AND device = ? AND state = 'pending' AND reading < ?"""
_OWE = """
    INSERT INTO delivery (reading, endpoint, device, enqueued_at, age_from) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (reading, endpoint) DO NOTHING"""
# The upsert locks a body that is there already, because on a database another replica may be about to drop it.
_INSERT_BODY = """
    INSERT INTO body VALUES (?, ?) ON CONFLICT (reading) DO UPDATE SET data = excluded.data"""
# The upsert locks a note that is there already, so that on a database the replica that takes it waits for this commit.
_NOTE_LANE = """
    INSERT INTO touched_lane (endpoint, device) VALUES (?, ?)
    ON CONFLICT (endpoint, device) DO UPDATE SET device = excluded.device"""
_INSERT_ATTEMPT = """
    INSERT INTO attempt (reading, endpoint, number, attempted_at, duration_ms, status, error, detail, answer, address)
    SELECT reading, endpoint, ?, ?, ?, ?, ?, ?, ?, ? FROM delivery WHERE reading = ? AND endpoint = ?
    ON CONFLICT (reading, endpoint, number) DO UPDATE SET attempted_at = excluded.attempted_at,
        duration_ms = excluded.duration_ms, status = excluded.status, error = excluded.error,
        detail = excluded.detail, answer = excluded.answer, address = excluded.address"""
"""Inserts nothing for a delivery that was erased while it was in flight."""
_FORGET_ATTEMPTS = "DELETE FROM attempt WHERE reading = ? AND endpoint = ? AND number <= ?"


class Tables(ABC):
    """The outbox's tables, changed inside one transaction."""

    connection: Connection
    replica = ""
    """The id of the replica that changes them; empty for a command, and for a file."""

    def __init__(
        self, endpoints: EndpointTable, quarantined: Quarantine, devices: DeviceTable
    ) -> None:
        self.endpoints = endpoints
        self.quarantined = quarantined
        self.devices = devices
        self._endpoint_ids: dict[str, int] = {}
        self._changes: defaultdict[tuple[int, str], int] = defaultdict(int)
        self.has_noted_lanes = False
        """Whether commands had changed lanes when the transaction began."""
        self.touched: set[LaneKey] = set()
        """Lanes whose pending deliveries were changed by something else than a claim."""
        self._forgotten: set[Device] = set()
        """Devices that commands have erased."""

    # Each engine does these its own way.

    @abstractmethod
    def _row_of_endpoint(self, name: str) -> int:
        """Find or make the endpoint's row, and return its id."""

    @abstractmethod
    def put_run(self, readings: list[NewReading], now: float) -> list[Run]:
        """Owe readings that may be known already, in this order."""

    @abstractmethod
    def settle(self, settlements: Sequence[Settlement], *, now: float) -> None:
        """Record the decisions; a delivery that was not pending any more has its lane touched."""

    @abstractmethod
    def drop_bodies(self, readings: Iterable[int]) -> None:
        """Forget the bodies of those readings that no pending or dead delivery, and no candidate, needs."""

    @abstractmethod
    def add_totals(self) -> None:
        """Add this transaction's changes to the endpoints' totals, once it has performed its last operation."""

    @abstractmethod
    def shrink(self, pages: int) -> None:
        """Give free space back, unless the engine does so by itself."""

    # Replicas on one database differ in these; a file has one forwarder.

    def take_homes(self, names: Collection[str]) -> None:  # noqa: B027 - of a file
        """Begin to deliver to those of these endpoints to which no other replica delivers."""

    def release_homes(self, names: Collection[str]) -> None:  # noqa: B027 - of a file
        """Leave these endpoints to other replicas."""

    def is_home_of(self, name: str) -> bool:  # noqa: ARG002 - of a file every endpoint is
        """Whether this replica delivers to the endpoint."""
        return True

    def note_lane(self, endpoint: int, device: Device) -> None:
        """Note the lane for the replica that delivers to the endpoint, which is to count it."""
        self.write_notes([(endpoint, device)])

    def write_notes(self, lanes: Collection[tuple[int, Device]]) -> None:
        self.connection.executemany(_NOTE_LANE, lanes)

    def noted_lanes(self) -> list[tuple[int, Device]]:
        """Take this replica's notes out of the table; each is the id of an endpoint's row, and a device."""
        rows = self.connection.execute("SELECT endpoint, device FROM touched_lane").fetchall()
        if rows:
            self.connection.execute("DELETE FROM touched_lane")
        return rows

    def rows_of_lane(self, name: str, device: Device) -> LaneRows:
        """Count the pending rows of a lane."""
        return queries.rows_of_lane(self.connection, endpoint=self.endpoint_id(name), device=device)

    # All engines do these alike.

    def endpoint_id(self, name: str) -> int:
        """The id of an endpoint's row, which is made for a new endpoint."""
        known = self._endpoint_ids.get(name)
        if known is None:
            known = self._endpoint_ids[name] = self._row_of_endpoint(name)
        return known

    def forget(self) -> None:
        """Forget what the transaction has changed, because it was rolled back."""
        self._endpoint_ids.clear()
        self._changes.clear()
        self.touched.clear()
        self._forgotten.clear()

    def add(self, endpoint: int, total: str, count: int) -> None:
        """Have `add_totals` add a count to one of an endpoint's totals."""
        self._changes[endpoint, total] += count

    def _owe_known(self, run: Run, now: float) -> tuple[Recipient, ...]:
        """Owe a reading that has its row already; returns each recipient that did not have it yet."""
        (reading,) = run.readings
        added = tuple(one for one in run.recipients if self._owe(run.first, reading, one, now))
        if added:
            self.connection.execute(_INSERT_BODY, (run.first, reading.data))
        return added

    def _owe(
        self, number: ReadingNumber, reading: NewReading, recipient: Recipient, now: float
    ) -> bool:
        endpoint = self.endpoint_id(recipient.endpoint)
        row = (number, endpoint, reading.device, now, reading.received_at)
        if self.connection.execute(_OWE, row).rowcount == 0:
            return False
        self.add(endpoint, "enqueued", 1)
        return True

    def supersede(
        self,
        number: ReadingNumber,
        device: Device,
        name: str,
        now: float,
        in_flight: Collection[ReadingNumber],
    ) -> int:
        """Have the lane's older deliveries give way to this reading, unless they are in flight; returns how many do."""
        endpoint = self.endpoint_id(name)
        rows = self.connection.execute(_OLDER, (endpoint, device, number)).fetchall()
        older = [reading for (reading,) in rows if reading not in in_flight]
        for reading in older:
            self.finish(reading, endpoint, state="superseded", reason=None, settled_at=now)
        self.drop_bodies(older)
        return len(older)

    def finish(
        self,
        reading: ReadingNumber,
        endpoint: int,
        *,
        state: str,
        reason: str | None,
        settled_at: float,
    ) -> bool:
        """Settle one pending delivery by a rule, without an attempt; returns False when it is pending no more."""
        changed = self.connection.execute(
            "UPDATE delivery SET state = ?, reason = ?, settled_at = ?"
            " WHERE reading = ? AND endpoint = ? AND state = 'pending'",
            (state, reason, settled_at, reading, endpoint),
        ).rowcount
        self.add(endpoint, state, changed)
        return changed > 0

    def touch(self, deliveries: Iterable[Delivery]) -> None:
        """Have the transaction count the lanes of these deliveries at its end."""
        self.touched.update((one.endpoint, one.device) for one in deliveries)

    def record_failures(self, settlements: Sequence[Settlement]) -> None:
        """Keep the attempts that failed, of each delivery the last KEPT_ATTEMPTS."""
        failed = [
            (one.reading, self.endpoint_id(one.endpoint), settlement.attempt)
            for settlement in settlements
            if settlement.attempt is not None and settlement.attempt.error
            for one in settlement.deliveries
        ]
        if not failed:
            return
        self.connection.executemany(
            _INSERT_ATTEMPT, [(*columns(attempt), *key) for *key, attempt in failed]
        )
        self.connection.executemany(
            _FORGET_ATTEMPTS,
            [
                (reading, endpoint, attempt.number - KEPT_ATTEMPTS)
                for reading, endpoint, attempt in failed
                if attempt.number > KEPT_ATTEMPTS
            ],
        )

    def quarantine(self, messages: Sequence[NewQuarantined], *, max_bytes: int) -> None:
        """Keep messages that could not be understood; the oldest go where they take more than `max_bytes`."""
        self.quarantined.keep(messages, max_bytes=max_bytes)

    def take_noted_lanes(self) -> set[LaneKey]:
        """Take the notes of lanes that commands have changed; `take_forgotten` then has those about devices."""
        rows = self.noted_lanes()
        if not rows:
            return set()
        names = dict(self.connection.execute("SELECT id, name FROM endpoint").fetchall())
        self._forgotten.update(device for endpoint, device in rows if endpoint == NO_ENDPOINT)
        return {(names[endpoint], device) for endpoint, device in rows if endpoint != NO_ENDPOINT}

    def take_forgotten(self) -> set[Device]:
        """Take the devices that commands have erased, as the notes say."""
        forgotten, self._forgotten = self._forgotten, set()
        return forgotten
