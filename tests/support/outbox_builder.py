"""A builder of outboxes with deliveries in every state, for tests of the operator's commands."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from forwarder.delivery import (
    Attempt,
    Bury,
    Decision,
    Delivery,
    Done,
    Expire,
    ReadingNumber,
    RetryAt,
)
from forwarder.delivery import Supersede as Superseded
from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox import NewQuarantined, NewReading, Recipient, Settlement
from forwarder.outbox.postgresql import schema
from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.outbox.postgresql.statements import Store as PostgresStore
from forwarder.outbox.sql.putting import put
from forwarder.outbox.sql.tables import Tables
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device, QuarantineReason, WebhookId, webhook_id
from forwarder.settings import OutboxPlace

ZURICH = Device("ECC9FF5C7AD4")
BERN = Device("ECC9FF5C7F14")
NOW = 1_763_460_000.0

DECISIONS: dict[str, Decision] = {
    "delivered": Done(),
    "dead": Bury("refused"),
    "expired": Expire(),
    "superseded": Superseded(),
}


class OutboxBuilder:
    """Writes an outbox row by row, through the store of the service."""

    def __init__(self, place: OutboxPlace) -> None:
        self.place = place
        self.readings = 0
        if isinstance(place, Path):
            outbox_file.create(place)
        else:
            schema.prepare(place)

    @property
    def path(self) -> Path:
        """The path of an outbox that is a file."""
        assert isinstance(self.place, Path)
        return self.place

    @contextmanager
    def store(self, *, readings: int = 0) -> Iterator[Tables]:
        """A transaction in which so many readings may be put."""
        if isinstance(self.place, Path):
            yield from self._in_file()
            return
        with opened_connection(self.place) as connection:
            connection.begin()
            store = PostgresStore(connection)
            store.reserve(readings, epoch=None)
            yield store
            store.add_totals()
            store.drop_unneeded()
            connection.commit()

    def _in_file(self) -> Iterator[Tables]:
        connection = outbox_file.connect(self.path)
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        store = Store(connection)
        yield store
        store.add_totals()
        connection.execute("COMMIT")
        connection.close()

    def reading(
        self,
        *endpoints: str,
        device: Device = ZURICH,
        received_at: float = NOW,
        payload: bytes = b"",
    ) -> int:
        """Owe a new reading to these endpoints; return its number."""
        self.readings += 1
        payload = payload or f'{{"n": {self.readings}}}'.encode()
        identity = webhook_id(device, payload)
        data = f'{{"id":"{identity}","device":"{device}","measurements":{{"active_power_import_kw":7.8490}}}}'
        reading = NewReading(
            webhook_id=identity,
            device=device,
            measured_at="2025-11-18T10:00:00Z",
            received_at=received_at,
            data=data.encode(),
            recipients=tuple(Recipient(name) for name in endpoints),
        )
        with self.store(readings=1) as store:
            number, _ = put(store, reading, now=received_at, content_since=0.0)
        return number

    def delivery(self, endpoint: str, state: str, **changes: Any) -> str:
        """Bring one delivery of a new reading to this state; return its webhook id."""
        device = changes.pop("device", ZURICH)
        number = self.reading(endpoint, device=device, received_at=changes.pop("at", NOW))
        if state != "pending":
            self.settle(number, endpoint, DECISIONS[state], device=device, **changes)
        return self.id_of(number)

    def dead_letters(self, count: int, endpoint: str) -> None:
        """Add many dead letters at once, without a history."""
        with self.store(readings=count) as store:
            for index in range(count):
                reading = NewReading(
                    webhook_id=webhook_id(ZURICH, b"%d" % index),
                    device=ZURICH,
                    measured_at="2025-11-18T10:00:00Z",
                    received_at=NOW,
                    data=b"{}",
                    recipients=(Recipient(endpoint),),
                )
                number, _ = put(store, reading, now=NOW, content_since=0.0)
                row = store.endpoint_id(endpoint)
                store.finish(number, row, state="dead", reason="expired", settled_at=NOW + 60)

    def settle(
        self,
        number: int,
        endpoint: str,
        decision: Decision,
        *,
        device: Device = ZURICH,
        settled_at: float = NOW + 60,
        attempts: tuple[Attempt, ...] | None = None,
    ) -> None:
        """Settle a pending delivery after these attempts, by default after the one that its decision implies."""
        last = Attempt(1, NOW + 1, 12.5, 204, "") if decision == Done() else attempt(1)
        for index, one in enumerate(attempts or (last,)):
            delivery = Delivery(
                reading=ReadingNumber(number),
                endpoint=endpoint,
                device=device,
                webhook_id=WebhookId("msg_"),
                measured_at="",
                received_at=NOW,
                age_from=NOW,
                attempts=one.number - 1,
                data=b"",
            )
            is_last = attempts is None or index == len(attempts) - 1
            decided = decision if is_last else RetryAt(NOW)
            with self.store() as store:
                store.settle([Settlement([delivery], decided, one)], now=settled_at)

    def quarantine(
        self,
        payload: bytes = b"no json",
        *,
        device: Device = ZURICH,
        reason: QuarantineReason = "not_json",
        topic: str | None = None,
        size: int | None = None,
        received_at: float = NOW,
    ) -> int:
        """Add one message that could not be understood; return its id."""
        message = NewQuarantined(
            device=device,
            topic=topic or f"ext/acme/{device}",
            received_at=received_at,
            reason=reason,
            detail="expected JSON",
            size=len(payload) if size is None else size,
            payload=payload,
        )
        with self.store() as store:
            store.quarantine([message], max_bytes=1 << 30)
            row = store.connection.execute("SELECT max(id) FROM quarantine").fetchone()
        return int(row[0])

    def health(self, endpoint: str, health: EndpointHealth) -> None:
        with self.store() as store:
            store.endpoints.record_health(store.endpoint_id(endpoint), health)

    def id_of(self, number: int) -> str:
        """The webhook id of the reading with this number."""
        ((identity,),) = self.rows("SELECT id FROM reading WHERE number = ?", number)
        return f"msg_{identity.hex()}"

    def numbers(self, listed: list[dict[str, Any]]) -> list[int]:
        """The numbers of the readings that a command listed."""
        numbers = {self.id_of(number): number for number in range(1, self.readings + 1)}
        return [numbers[one["id"]] for one in listed]

    def endpoint_id(self, name: str) -> int:
        with self.store() as store:
            return store.endpoint_id(name)

    def rows(self, query: str, *parameters: object) -> list[Any]:
        if isinstance(self.place, Path):
            with closing(outbox_file.connect(self.place, is_read_only=True)) as file:
                return file.execute(query, parameters).fetchall()
        with opened_connection(self.place) as connection:
            return connection.execute(query, parameters).fetchall()

    def accounts(self, endpoint: str) -> dict[str, int]:
        """The totals of an endpoint, and its count of pending rows."""
        names = ("enqueued", "delivered", "dead", "expired", "superseded")
        (row,) = self.rows(f"SELECT {', '.join(names)} FROM endpoint WHERE name = ?", endpoint)
        pending = self.rows(
            "SELECT count(*) FROM delivery d JOIN endpoint e ON e.id = d.endpoint"
            " WHERE e.name = ? AND d.state = 'pending'",
            endpoint,
        )
        return {**dict(zip(names, row, strict=True)), "pending": pending[0][0]}


def attempt(
    number: int,
    *,
    status: int | None = 400,
    error: str = "http_400",
    answer: bytes = b"no",
    detail: str = "",
) -> Attempt:
    return Attempt(number, NOW + number, 12.5, status, error, detail, answer)


def seconds_ago(seconds: float) -> float:
    return time.time() - seconds
