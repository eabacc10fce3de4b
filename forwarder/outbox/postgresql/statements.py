"""
The hot path's SQL puts readings in and settles deliveries, each for all rows in one statement.

A transaction reserves numbers by moving the line on, under its replica's epoch. The line stays locked until the commit,
so nobody sees a later number before an earlier one. Reserving writes even when every reading turns out to be known, so
a transaction that is brought in again after a doubtful commit waits for the standby as well.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from forwarder.delivery import ReadingNumber, RetryAt
from forwarder.outbox.changes import LaneRows, Run
from forwarder.outbox.intake import NewQuarantined, NewReading, Recipient
from forwarder.outbox.postgresql.connection import PostgresConnection
from forwarder.outbox.records import BEYOND_ALL
from forwarder.outbox.settlement import Settlement
from forwarder.outbox.sql.devices import DeviceTable
from forwarder.outbox.sql.endings import attempted, ended_alike, runs_of
from forwarder.outbox.sql.endpoints import EndpointTable
from forwarder.outbox.sql.quarantine import KEPT_QUARANTINE, Quarantine, row_of
from forwarder.outbox.sql.tables import NO_ENDPOINT, Tables
from forwarder.outbox.sql.webhook_ids import as_bytes
from forwarder.reading import Device

# The bell rings with the commit, because PostgreSQL delivers a notification only then: its hearers find the readings.
_RESERVE = """
    UPDATE line SET last = last + ? WHERE ?::bigint IS NULL OR epoch = ?
    RETURNING last, EXISTS (SELECT 1 FROM touched_lane), CASE WHEN ? THEN pg_notify(?, ?)::text END"""
# Of two replicas that take a home at once, the second waits for the row, and then finds the first to be its owner.
TAKE_HOMES = """
    UPDATE home h SET owner = ?, epoch = epoch + 1 WHERE shard = 0 AND (
        owner IS NULL OR owner = ? OR NOT EXISTS (SELECT 1 FROM member WHERE id = h.owner))"""
"""Takes the homes that are this replica's or nobody's, under new epochs that fence holders of the old ones."""
_TAKE_HOMES_OF = f"{TAKE_HOMES} AND endpoint = ANY(?) RETURNING endpoint, epoch"
_RELEASE_HOMES = "UPDATE home SET owner = NULL WHERE shard = 0 AND endpoint = ANY(?) AND owner = ?"
# Notes are locked in the order in which they are written, so that no two transactions wait for each other in a circle.
# The lock is a statement of its own, so that the DELETE sees the notes that others have written anew meanwhile.
_LOCK_NOTES = """
    SELECT 1 FROM touched_lane WHERE endpoint = ANY(?) ORDER BY endpoint, device COLLATE "C" FOR UPDATE"""
_NOTED_LANES = "DELETE FROM touched_lane WHERE endpoint = ANY(?) RETURNING endpoint, device"
_ROWS_OF_LANE = """
    SELECT count(*), coalesce(max(reading), 0) FROM delivery
    WHERE endpoint = ? AND device = ? AND state = 'pending' AND reading <= ?"""
# Bodies are locked first, in a statement of its own. Of two replicas that settle a reading's last two deliveries at
# once, the second waits here, and its DELETE then sees what the first has settled.
_LOCK_BODIES = "SELECT 1 FROM body WHERE reading = ANY(?::bigint[]) ORDER BY reading FOR UPDATE"
_PUT = """
    WITH given AS (
        SELECT * FROM unnest(?::bigint[], ?::bytea[], ?::text[], ?::text[], ?::float8[], ?::bytea[])
            AS given (number, id, device, measured_at, received_at, content)
    ), new AS (
        INSERT INTO reading (number, id, device, measured_at, received_at, content) SELECT * FROM given
        ON CONFLICT (measured_at, id) DO NOTHING RETURNING number
    ), bodies AS (
        INSERT INTO body SELECT number, data FROM unnest(?::bigint[], ?::bytea[]) AS b (number, data)
        JOIN new USING (number)
    ), owed AS (
        INSERT INTO delivery (reading, endpoint, device, enqueued_at, age_from)
        SELECT number, owed.endpoint, device, ?, received_at
        FROM unnest(?::bigint[], ?::int[]) AS owed (number, endpoint) JOIN new USING (number) JOIN given USING (number)
    )
    SELECT number FROM new"""
# `state || ''` fits no index of pending rows, which leaves the primary key. Without statistics the planner takes them
# for a few, and looks through all. A row without a duration had no attempt, and keeps the last one's result.
_SETTLE = """
    WITH ended AS (
        SELECT * FROM unnest(?::bigint[], ?::int[], ?::text[], ?::text[], ?::text[], ?::int[], ?::int[], ?::text[],
            ?::float8[], ?::text[])
        AS ended (reading, endpoint, device, state, reason, attempts, status, error, duration_ms, address)
    ), changed AS (
        UPDATE delivery d SET state = ended.state, reason = ended.reason, attempts = ended.attempts,
            last_status = CASE WHEN ended.duration_ms IS NULL THEN last_status ELSE ended.status END,
            last_error = coalesce(ended.error, last_error),
            duration_ms = coalesce(ended.duration_ms, d.duration_ms), address = ended.address, settled_at = ?
        FROM ended WHERE d.reading = ended.reading AND d.endpoint = ended.endpoint AND d.device = ended.device
            AND d.state || '' = 'pending'
        RETURNING d.endpoint, d.state
    )
    SELECT endpoint, state, count(*) FROM changed GROUP BY endpoint, state"""
_POSTPONE = """
    UPDATE delivery d SET due_at = later.due_at, attempts = coalesce(later.attempts, d.attempts),
        last_status = CASE WHEN later.duration_ms IS NULL THEN last_status ELSE later.status END,
        last_error = CASE WHEN later.duration_ms IS NULL THEN last_error ELSE later.error END,
        duration_ms = coalesce(later.duration_ms, d.duration_ms)
    FROM unnest(?::bigint[], ?::int[], ?::text[], ?::float8[], ?::int[], ?::int[], ?::text[], ?::float8[])
        AS later (reading, endpoint, device, due_at, attempts, status, error, duration_ms)
    WHERE d.reading = later.reading AND d.endpoint = later.endpoint AND d.device = later.device
        AND d.state || '' = 'pending'
    RETURNING d.reading, d.endpoint"""
_NOT_ATTEMPTED = (None, None, None, None)
"""Attempts, status, error and duration of a delivery that is postponed without an attempt, and keeps its own."""
_DROP_BODIES = """
    DELETE FROM body WHERE reading = ANY(?::bigint[]) AND NOT EXISTS (
        SELECT 1 FROM delivery d WHERE d.reading = body.reading AND d.state IN ('pending', 'dead', 'candidate'))
    RETURNING octet_length(data)"""
_QUARANTINE = """
    INSERT INTO quarantine (device, topic, received_at, reason, detail, size, payload)
    SELECT * FROM unnest(?::text[], ?::text[], ?::float8[], ?::text[], ?::text[], ?::bigint[], ?::bytea[])"""
_BEYOND_THE_NEWEST = """
    DELETE FROM quarantine q USING (
        SELECT device, (
            SELECT id FROM quarantine WHERE quarantine.device = one.device ORDER BY id DESC LIMIT 1 OFFSET ?
        ) AS last FROM unnest(?::text[]) AS one (device)) AS beyond
    WHERE q.device = beyond.device AND q.id <= beyond.last RETURNING q.reason"""
_RECORD_DEVICES = """
    INSERT INTO device SELECT * FROM unnest(?::int[], ?::text[], ?::float8[], ?::float8[], ?::text[], ?::bigint[],
        ?::bytea[], ?::float8[], ?::float8[])
    ON CONFLICT (place) DO UPDATE SET name = excluded.name, first_at = excluded.first_at, last_at = excluded.last_at,
        measured_at = excluded.measured_at, sightings = excluded.sightings, intervals = excluded.intervals,
        unreadable_at = excluded.unreadable_at, silent_since = excluded.silent_since"""
_ADD_ENQUEUED = "UPDATE endpoint_row SET enqueued = enqueued + ? WHERE id = ?"
_ADD_TOTALS = """
    UPDATE home SET delivered = delivered + ?, dead = dead + ?, expired = expired + ?, superseded = superseded + ?
    WHERE endpoint = ? AND shard = 0"""
_TOTALS = ("delivered", "dead", "expired", "superseded")


CHANNEL = "forwarder"
"""Replicas are told on this channel that something was committed for them."""
HOMES_CHANGED = "homes"
"""The message that homes were released; any other is the id of the replica that has put something."""


class PostgresQuarantine(Quarantine):
    """Inserts all rows in one statement."""

    def _insert(self, messages: Sequence[NewQuarantined]) -> Mapping[str, int]:
        self._connection.execute(_QUARANTINE, transposed([row_of(one) for one in messages]))
        devices = sorted({one.device for one in messages})
        beyond = self._connection.execute(_BEYOND_THE_NEWEST, (KEPT_QUARANTINE, devices))
        return Counter(reason for (reason,) in beyond)

    def _erase(self, numbers: Sequence[int]) -> None:
        self._connection.execute("DELETE FROM quarantine WHERE id = ANY(?)", (list(numbers),))


class PostgresDevices(DeviceTable):
    """Writes all records in one statement."""

    def _replace(self, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            self._connection.execute(_RECORD_DEVICES, transposed(rows))


class Store(Tables):
    """See `Tables`; new endpoints become homes of the replica `member`, or nobody's where a command makes them."""

    def __init__(self, connection: PostgresConnection, *, member: str | None = None) -> None:
        endpoints = EndpointTable(connection, table="endpoint_row", circuits=("home", "endpoint"))
        super().__init__(endpoints, PostgresQuarantine(connection), PostgresDevices(connection))
        self.connection: PostgresConnection = connection
        self._member = member
        self.replica = member or ""
        self._next = 0
        """The number of the next reading, as the transaction has reserved it."""
        self.reserved = 0
        """The last number that the transaction has reserved; a rollback gives it back to the line."""
        self._unneeded: set[int] = set()
        """Readings whose bodies may go at the end of this transaction."""
        self._dropped_bytes = 0
        self._notes: set[tuple[int, Device]] = set()
        """Lanes to note for the replicas that deliver to them."""
        self.homes: dict[int, int] = {}
        """This replica's epochs by endpoint, as they are once this transaction is committed."""
        self.names: dict[int, str] = {}
        """The names of those endpoints."""
        self.taken: set[int] = set()
        """Endpoints whose homes this transaction has taken, and whose lanes are not known yet."""
        self.horizon = BEYOND_ALL
        """The newest reading that a count of lanes includes; newer ones arrive by themselves."""
        self.has_others = False
        """Whether other replicas have homes."""
        self.leads = False
        """Whether this replica leads: it then takes noted homes that are nobody's, and the notes about devices."""

    def reserve(self, count: int, *, epoch: int | None) -> bool | None:
        """
        Move the line on for so many readings, provided that it has this epoch; a command asks for none.

        Returns whether lanes are noted; None when the line has another epoch, because another replica leads.
        """
        rung = (self.has_others, CHANNEL, self._member or "")
        row = self.connection.execute(_RESERVE, (count, epoch, epoch, *rung)).fetchone()
        if row is None:
            return None
        self.reserved, self._next = row[0], row[0] - count + 1
        return bool(row[1])

    def _row_of_endpoint(self, name: str) -> int:
        find = "SELECT id FROM endpoint_row WHERE name = ?"
        if row := self.connection.execute(find, (name,)).fetchone():
            return int(row[0])
        make = "INSERT INTO endpoint_row (name) VALUES (?) ON CONFLICT (name) DO NOTHING"
        self.connection.execute(make, (name,))
        # The row is looked for again, because another session may have made it since the first look.
        (row_id,) = self.connection.execute(find, (name,)).fetchone()
        home = "INSERT INTO home (endpoint, owner, epoch) VALUES (?, ?, 1) ON CONFLICT DO NOTHING"
        if self.connection.execute(home, (row_id, self._member)).rowcount and self._member:
            self.homes[row_id], self.names[row_id] = 1, name
        return int(row_id)

    def recall(self, homes: Mapping[int, int]) -> None:
        """Hold the homes from before the transaction, because it was rolled back."""
        self.homes = dict(homes)
        self.names = {endpoint: self.names[endpoint] for endpoint in homes}
        self.taken.clear()

    def forget(self) -> None:
        super().forget()
        self._next = self.reserved = self._dropped_bytes = 0
        self._unneeded.clear()
        self._notes.clear()

    # Putting.

    def put_run(self, readings: list[NewReading], now: float) -> list[Run]:
        first = self._next
        self._next += len(readings)
        if self._next > self.reserved + 1:
            raise ValueError("more readings than numbers were reserved")
        new = self._put_new(readings, first, now)
        if len(new) == len(readings):
            runs = runs_of(readings, first)
            _count_new(self, runs)
            return runs
        return self._put_partly_known(readings, first, new, now)

    def _put_new(self, readings: list[NewReading], first: int, now: float) -> set[int]:
        """Insert the readings that are not known; returns their numbers."""
        numbers = range(first, first + len(readings))
        wanted = [pair for pair in zip(numbers, readings, strict=True) if pair[1].recipients]
        owed = [
            (number, self.endpoint_id(one.endpoint))
            for number, reading in wanted
            for one in reading.recipients
        ]
        rows = self.connection.execute(
            _PUT,
            (
                list(numbers),
                [as_bytes(one.webhook_id) for one in readings],
                [one.device for one in readings],
                [one.measured_at for one in readings],
                [one.received_at for one in readings],
                [one.content for one in readings],
                [number for number, _ in wanted],
                [one.data for _, one in wanted],
                now,
                [number for number, _ in owed],
                [endpoint for _, endpoint in owed],
            ),
        )
        return {number for (number,) in rows}

    def _put_partly_known(
        self, readings: list[NewReading], first: int, new: set[int], now: float
    ) -> list[Run]:
        find = "SELECT number FROM reading WHERE measured_at = ? AND id = ?"
        runs = []
        for number, reading in enumerate(readings, first):
            if number in new:
                run = Run(ReadingNumber(number), [reading], reading.recipients)
                _count_new(self, [run])
            else:
                key = (reading.measured_at, as_bytes(reading.webhook_id))
                (known,) = self.connection.execute(find, key).fetchone()
                run = Run(ReadingNumber(known), [reading], reading.recipients)
                run.recipients = self._owe_known(run, now)
            runs.append(run)
        return runs

    def _owe(
        self, number: ReadingNumber, reading: NewReading, recipient: Recipient, now: float
    ) -> bool:
        is_new = super()._owe(number, reading, recipient, now)
        if is_new and not self.is_home_of(recipient.endpoint):
            # The home reads back new numbers, and would miss this old one; the note has it count the lane.
            self.note_lane(self.endpoint_id(recipient.endpoint), reading.device)
        return is_new

    # Homes.

    def is_home_of(self, name: str) -> bool:
        return self._member is None or self.endpoint_id(name) in self.homes

    def take_homes(self, names: Collection[str]) -> None:
        ids = {self.endpoint_id(name): name for name in names}
        self._take(ids)

    def _take(self, names: Mapping[int, str]) -> None:
        rows = self.connection.execute(_TAKE_HOMES_OF, (self._member, self._member, sorted(names)))
        for endpoint, epoch in rows.fetchall():
            self.homes[endpoint], self.names[endpoint] = epoch, names[endpoint]
            self.taken.add(endpoint)

    def release_homes(self, names: Collection[str]) -> None:
        ids = sorted(self.endpoint_id(name) for name in names)
        if not ids:
            return
        self.connection.execute(_RELEASE_HOMES, (ids, self._member))
        for endpoint in ids:
            self.homes.pop(endpoint, None)
        self.has_others = True
        self.connection.execute("SELECT pg_notify(?, ?)", (CHANNEL, HOMES_CHANGED))

    def noted_lanes(self) -> list[tuple[int, Device]]:
        endpoints = [*self.homes, NO_ENDPOINT] if self.leads else list(self.homes)
        if self.connection.execute(_LOCK_NOTES, (endpoints,)).fetchone() is None:
            return []
        return self.connection.execute(_NOTED_LANES, (endpoints,)).fetchall()

    def note_lane(self, endpoint: int, device: Device) -> None:
        """See `Tables`; `add_totals` writes the note."""
        self._notes.add((endpoint, device))

    def take_noted(self) -> None:
        """Take the homes that are nobody's and in which commands have changed something."""
        rows = self.connection.execute(
            "SELECT id, name FROM endpoint_row JOIN home ON home.endpoint = id"
            " WHERE owner IS NULL AND id IN (SELECT endpoint FROM touched_lane)"
        )
        if names := dict(rows.fetchall()):
            self._take(names)

    def rows_of_lane(self, name: str, device: Device) -> LaneRows:
        key = (self.endpoint_id(name), device, self.horizon)
        pending, newest = self.connection.execute(_ROWS_OF_LANE, key).fetchone()
        return LaneRows(pending, ReadingNumber(newest))

    # Settling.

    def settle(self, settlements: Sequence[Settlement], *, now: float) -> None:
        # Postponements come first, because a delivery may be postponed and end in one commit, and its end is for good.
        self._postpone([one for one in settlements if isinstance(one.decision, RetryAt)])
        self._close(settlements, now)
        self.record_failures(settlements)

    def _postpone(self, settlements: Sequence[Settlement]) -> None:
        rows: dict[tuple[int, int], tuple[Any, ...]] = {}
        deliveries = {}
        for settlement in settlements:
            attempt, decision = settlement.attempt, settlement.decision
            assert isinstance(decision, RetryAt)  # noqa: S101 - the caller has chosen them so
            last = None if attempt is None else (*attempted(attempt), attempt.duration_ms)
            for one in settlement.deliveries:
                key = (one.reading, self.endpoint_id(one.endpoint))
                # One statement changes a row once, so the later of two postponements counts, with the last attempt.
                outcome = last or (rows[key][4:] if key in rows else _NOT_ATTEMPTED)
                deliveries[key] = one
                rows[key] = (*key, one.device, decision.due_at, *outcome)
        if not rows:
            return
        changed = self.connection.execute(_POSTPONE, transposed(list(rows.values())))
        found = {(reading, endpoint) for reading, endpoint in changed}
        self.touch(one for key, one in deliveries.items() if key not in found)

    def _close(self, settlements: Sequence[Settlement], now: float) -> None:
        ended = ended_alike(settlements)
        rows = (
            sorted(
                (
                    one.reading,
                    self.endpoint_id(endpoint),
                    one.device,
                    *ending[:5],
                    duration,
                    ending[5],
                )
                for (endpoint, ending), some in ended.items()
                for one, duration in some
            )
            if ended
            else []
        )
        if not rows:
            return
        changed: Counter[tuple[int, str]] = Counter()
        for endpoint, state, count in self.connection.execute(_SETTLE, (*transposed(rows), now)):
            changed[endpoint, state] = count
            self.add(endpoint, state, count)
        if changed.total() < len(rows):
            # The statement does not tell which rows were pending no more; counting a lane in vain does no harm.
            self.touch(one for some in ended.values() for one, _ in some)
        self.drop_bodies(row[0] for row in rows if row[3] != "dead")

    def drop_bodies(self, readings: Iterable[int]) -> None:
        """See `Tables`; `drop_unneeded` deletes them."""
        self._unneeded.update(readings)

    def drop_unneeded(self) -> None:
        """
        Delete the bodies that are not needed, at the end of a transaction.

        Several replicas lock the same bodies, each once and in the order of numbers, so none waits for another in a
        circle.
        """
        numbers = sorted(self._unneeded)
        self._unneeded.clear()
        if numbers:
            if self.has_others:
                self.connection.execute(_LOCK_BODIES, (numbers,))
            gone = self.connection.execute(_DROP_BODIES, (numbers,))
            self._dropped_bytes += sum(size for (size,) in gone)

    def take_dropped_bytes(self) -> int:
        """Take the number of bytes that were dropped since the last call."""
        dropped, self._dropped_bytes = self._dropped_bytes, 0
        return dropped

    def shrink(self, pages: int) -> None:
        """PostgreSQL's autovacuum gives free space back."""

    def add_totals(self) -> None:
        # All homes come before all endpoint rows, each in the order of ids, so no two transactions wait in a circle.
        endpoints = sorted({endpoint for endpoint, _ in self._changes})
        for endpoint in endpoints:
            settled = [self._changes.get((endpoint, total), 0) for total in _TOTALS]
            if any(settled):
                self.connection.execute(_ADD_TOTALS, (*settled, endpoint))
        for endpoint in endpoints:
            if enqueued := self._changes.get((endpoint, "enqueued"), 0):
                self.connection.execute(_ADD_ENQUEUED, (enqueued, endpoint))
        self._changes.clear()
        if self._notes:
            # `noted_lanes` locks notes in this order too.
            self.write_notes(sorted(self._notes))
            self._notes.clear()


def _count_new(store: Store, runs: Iterable[Run]) -> None:
    for run in runs:
        for recipient in run.recipients:
            store.add(store.endpoint_id(recipient.endpoint), "enqueued", len(run.readings))


def transposed(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Turn rows into a list for each column, as `unnest` takes them."""
    return [list(column) for column in zip(*rows, strict=True)]
