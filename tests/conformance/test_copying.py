"""An outbox copied to the other engine and back: everything is there, or nothing is."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.any_reading import any_text
from support.clock import HandClock
from support.outbox import must_claim, settle, totals
from support.outbox_builder import NOW, OutboxBuilder
from support.outbox_harness import OutboxHarness

from forwarder.delivery import Attempt, Bury, Delivery, Done, Expire, ReadingNumber, RetryAt
from forwarder.delivery import Supersede as Superseded
from forwarder.endpoint_health import EndpointHealth
from forwarder.errors import (
    ConfigurationError,
    OperationError,
    OutboxDamaged,
    OutboxError,
    OutboxIncomplete,
    OutboxLocked,
    OutboxUnavailable,
)
from forwarder.outbox import (
    KeptLast,
    NewQuarantined,
    NewReading,
    Recipient,
    Settlement,
    copy_outbox,
    exists,
    inspect,
    take_seat,
)
from forwarder.outbox.copying import Fingerprint, Row
from forwarder.outbox.postgresql import copying as postgres_copying
from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.outbox.records import AuditRecord, DeviceRecord, Minute
from forwarder.outbox.sql import audit, minutes
from forwarder.outbox.sql.bringing_in import count_messages
from forwarder.outbox.sql.putting import put_all
from forwarder.outbox.sql.tables import Tables
from forwarder.outbox.sqlite import copying as sqlite_copying
from forwarder.outbox.sqlite import high_water_mark
from forwarder.reading import Device, WebhookId, webhook_id
from forwarder.settings import Database, OutboxPlace

Step: TypeAlias = Callable[[Tables], object]

ENDPOINTS = ["acme", "home", "bulk", "last"]
KEPT_LAST = {"last": KeptLast(2.0)}
devices = st.sampled_from(["ECC9FF5C7AD4", "ECC9FF5C7F14"]).map(Device)
instants = st.floats(min_value=0, max_value=4e9)
texts = any_text.map(lambda text: text.encode(errors="replace").decode())
decisions = st.sampled_from(
    [Done(), Bury("refused"), Bury("expired"), Expire(), Superseded(), RetryAt(NOW)]
)
health = st.builds(
    EndpointHealth,
    failures=st.integers(0, 9),
    open_until=st.none() | instants,
    failing_since=st.none() | instants,
    last_success_at=st.none() | instants,
    last_error=st.none() | texts,
    last_error_at=st.none() | instants,
)


def _put(
    number: int, device: Device, data: bytes, recipients: list[str], is_timeless: bool
) -> Step:
    reading = NewReading(
        webhook_id=webhook_id(device, b"%d" % number),
        device=device,
        measured_at="2025-11-18T10:00:00Z",
        received_at=NOW + number,
        data=data,
        recipients=tuple(Recipient(name) for name in recipients),
        content=b"%016d" % number if is_timeless else None,
    )
    return lambda store: put_all(store, [reading], now=NOW, content_since=0.0, kept_last=KEPT_LAST)


def _settle(number: int, device: Device, endpoint: str, decision: Any, error: str) -> Step:
    attempt = Attempt(
        1, NOW + 1, 12.5, 400, error or "http_400", error, error.encode(), "127.0.0.1"
    )
    delivery = Delivery(
        ReadingNumber(number), endpoint, device, WebhookId("msg_"), "", NOW, NOW, 0, b""
    )
    return lambda store: store.settle([Settlement([delivery], decision, attempt)], now=NOW + 60)


def _quarantine(device: Device, payload: bytes, text: str) -> Step:
    message = NewQuarantined(
        device=device,
        topic=text,
        received_at=NOW,
        reason="not_json",
        detail=text,
        size=len(payload),
        payload=payload,
    )
    return lambda store: store.quarantine([message], max_bytes=600)


def _other(endpoint: str, kept: EndpointHealth, device: Device, blob: bytes) -> Iterator[Step]:
    record = DeviceRecord(device, NOW, NOW + 1, "2025-11-18T10:00:00Z", 3, blob, None, NOW)
    yield lambda store: store.endpoints.record_health(store.endpoint_id(endpoint), kept)
    yield lambda store: store.endpoints.pause(store.endpoint_id("home"))
    yield lambda store: store.endpoints.record_gone(store.endpoint_id("bulk"), "digest")
    yield lambda store: store.endpoints.mark_removed(store.endpoint_id(endpoint), NOW)
    yield lambda store: count_messages(store, {"accepted": 7, "duplicate": 1 << 40})
    yield lambda store: store.devices.record({3: record}, but=())
    yield lambda store: store.connection.execute("INSERT INTO told VALUES (?, ?)", (endpoint, "{}"))
    yield lambda store: store.connection.execute(
        "INSERT INTO share VALUES (?, ?, ?, ?, ?)", (device, endpoint, blob, NOW, NOW + 60)
    )
    yield lambda store: audit.keep(store.connection, _record("first", endpoint))
    yield lambda store: audit.keep(store.connection, _record("second", endpoint))
    minute = Minute(endpoint, int(NOW), {"delivered": 2, "answer:http_200": 3}, 0.25)
    yield lambda store: minutes.keep(store.connection, [minute], before=0, replica="a")
    yield lambda store: store.connection.execute(
        "INSERT INTO touched_lane VALUES (0, ?)", (device,)
    )


def _record(one: str, endpoint: str) -> AuditRecord:
    return AuditRecord(one, NOW, "command", "root", "pause", endpoint, 1)


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Readings put, settled, postponed; messages in quarantine; and what else there is to be known."""
    steps: list[Step] = []
    recipients = st.lists(st.sampled_from(ENDPOINTS), unique=True, min_size=1)
    for number in range(1, 1 + draw(st.integers(0, 8))):
        device, to = draw(devices), draw(recipients)
        steps.append(_put(number, device, draw(st.binary()), to, draw(st.booleans())))
        ended = draw(st.lists(st.sampled_from(to), unique=True))
        steps += [_settle(number, device, one, draw(decisions), draw(texts)) for one in ended]
    messages = range(draw(st.integers(0, 3)))
    steps += [_quarantine(draw(devices), draw(st.binary()), draw(texts)) for _ in messages]
    some = _other(draw(st.sampled_from(ENDPOINTS)), draw(health), draw(devices), draw(st.binary()))
    return [*steps, *(step for step in some if draw(st.booleans()))]


def live(place: OutboxPlace, history: list[Step]) -> OutboxBuilder:
    """An outbox with this history."""
    built = OutboxBuilder(place)
    with built.store(readings=8) as store:
        for step in history:
            step(store)
    return built


TABLES = {
    "endpoint": "id, name, enqueued, delivered, dead, expired, superseded, failures, open_until, paused_by, gone_url,"
    " removed_at, failing_since, last_success_at, last_error, last_error_at",
    "delivery": "reading, endpoint, device, state, enqueued_at, age_from, attempts, due_at, settled_at, reason,"
    " last_status, last_error, duration_ms, address",
    "quarantine": "id, device, topic, received_at, reason, detail, size, payload",
    "quarantine_account": "reason, kept, evicted",
    **dict.fromkeys(
        (
            "reading",
            "body",
            "attempt",
            "identity",
            "told",
            "message_total",
            "device",
            "candidate",
            "share",
            "audit",
            "minute",
            "touched_lane",
        ),
        "*",
    ),
}
"""What both engines keep; the bytes of text are counted in each engine's own form."""


def everything(built: OutboxBuilder) -> dict[str, list[str]]:
    """Each row, with text as PostgreSQL takes it."""
    return {
        table: sorted(map(_row, built.rows(f"SELECT {columns} FROM {table}")))
        for table, columns in TABLES.items()
    }


def _row(row: Sequence[Any]) -> str:
    return repr([one.replace("\0", "\ufffd") if isinstance(one, str) else one for one in row])


class Pairs:
    """Makes pairs of places, from one engine to the other."""

    def __init__(self, folder: Path, new_database: Callable[[], Database], *, to: str) -> None:
        self._numbers = count(1)
        self._folder = folder
        self._new_database = new_database
        self._leads_to_file = to == "sqlite"

    def new(self) -> tuple[OutboxPlace, OutboxPlace]:
        file = self._folder / str(next(self._numbers)) / "outbox.db"
        database = self._new_database()
        return (database, file) if self._leads_to_file else (file, database)


@pytest.fixture(params=["postgresql", "sqlite"])
def pairs(
    request: pytest.FixtureRequest, tmp_path: Path, new_database: Callable[[], Database]
) -> Pairs:
    return Pairs(tmp_path, new_database, to=request.param)


@pytest.fixture
def places(pairs: Pairs) -> tuple[OutboxPlace, OutboxPlace]:
    """An outbox's, and its copy's."""
    return pairs.new()


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories())
def test_everything_is_there_and_comes_back(pairs: Pairs, history: list[Step]) -> None:
    """Whatever an outbox holds, its copy holds the same rows and accounts, and so does a copy of the copy."""
    (source, there), (back, _) = pairs.new(), pairs.new()
    before = everything(live(source, history))

    copied = copy_outbox(source, there)
    copy_outbox(there, back)

    assert everything(OutboxBuilder(there)) == before
    assert everything(OutboxBuilder(back)) == before
    assert (inspect(there).faults, inspect(back).faults) == ((), ())
    assert copied.rows == {table: len(rows) for table, rows in before.items()}


def test_text_that_the_other_engine_cannot_keep_is_no_difference(
    places: tuple[OutboxPlace, OutboxPlace],
) -> None:
    """PostgreSQL keeps no NUL; what an endpoint last answered is told all the same."""
    source, destination = places
    with OutboxBuilder(source).store() as store:
        store.endpoints.record_health(
            store.endpoint_id("acme"), EndpointHealth(last_error="a\0b", last_error_at=NOW)
        )
    copy_outbox(source, destination)
    (copied,) = OutboxBuilder(destination).rows("SELECT last_error FROM endpoint")
    assert copied[0].replace("\0", "\ufffd") == "a\ufffdb"


def test_every_column_is_copied(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """Both engines have the same tables with the same columns, but for those that are named here."""
    source, destination = places
    OutboxBuilder(source)
    copy_outbox(source, destination)
    with _held(source) as one, _held(destination) as other:
        first, second = (
            {(table, column) for table, columns in contents.tables().items() for column in columns}
            for contents in (one, other)
        )
    assert first ^ second == {("delivery", "shard")}


def _held(place: OutboxPlace) -> Any:
    return sqlite_copying.held(place) if isinstance(place, Path) else postgres_copying.held(place)


async def test_numbers_go_on(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """A number that was given once is not given again, also where its row is gone."""
    source, destination = places
    built = OutboxBuilder(source)
    first = built.reading("acme")
    built.quarantine(payload=b"a")
    with built.store() as store:
        store.settle([Settlement([_delivery(first)], Done(), None)], now=NOW)
        audit.keep(store.connection, _record("first", "acme"))
        for table in ("delivery", "reading", "quarantine"):
            store.connection.execute(f"DELETE FROM {table}")

    copy_outbox(source, destination)

    reached = OutboxBuilder(destination)
    assert reached.reading("acme", payload=b"{}") > first
    assert reached.quarantine(payload=b"b") == 2
    assert reached.reading("new") > first
    assert reached.endpoint_id("new") == 2
    with reached.store() as store:
        audit.keep(store.connection, _record("second", "acme"))
        assert [one.id for one in audit.newest(store.connection, limit=9, before=None)] == [
            "second",
            "first",
        ]


def _delivery(number: int) -> Delivery:
    device = Device("ECC9FF5C7AD4")
    return Delivery(ReadingNumber(number), "acme", device, WebhookId("msg_"), "", NOW, NOW, 0, b"")


async def test_copy_is_claimed_from(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """A service on the copy goes on where the one before it stopped."""
    source, destination = places
    OutboxBuilder(source).delivery("acme", "pending")
    copy_outbox(source, destination)
    harness = OutboxHarness(destination, HandClock())
    outbox = harness.open()

    settle(outbox, await must_claim(outbox))
    found = await totals(outbox)
    await harness.kill()
    assert (found.delivered, found.pending) == (1, 0)


def test_source_stays_as_it_is(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """Copying changes no row of the source, and it can be opened afterwards."""
    source, destination = places
    built = live(source, [])
    built.delivery("acme", "dead")
    before = everything(built)
    copy_outbox(source, destination)
    assert everything(built) == before
    built.delivery("acme", "pending")


def test_destination_in_use_is_refused(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """Where an outbox is already, nothing is copied."""
    source, destination = places
    OutboxBuilder(source)
    there = OutboxBuilder(destination)
    there.delivery("acme", "pending")
    with pytest.raises(OperationError, match="already"):
        copy_outbox(source, destination)
    assert there.accounts("acme")["pending"] == 1


def test_missing_source_is_refused(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """Without a source nothing is made."""
    source, destination = places
    with pytest.raises(OperationError, match="no outbox"):
        copy_outbox(source, destination)
    assert not exists(destination)


def test_running_service_is_refused(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """While a forwarder has a seat on the source, or a file's folder, nothing is copied; afterwards it is."""
    source, destination = places
    OutboxBuilder(source).delivery("acme", "pending")
    seat = take_seat(source, name="one", deployment="mqtt://broker")
    with pytest.raises(OutboxLocked, match="running on"):
        copy_outbox(source, destination)
    assert not exists(destination)
    seat.release()
    if isinstance(destination, Path):
        destination.parent.mkdir(exist_ok=True)
        other = take_seat(destination, name="other", deployment="mqtt://broker")
        with pytest.raises(OutboxLocked, match="running on"):
            copy_outbox(source, destination)
        other.release()
    copy_outbox(source, destination)
    assert exists(destination)


def test_one_kind_is_refused(pairs: Pairs) -> None:
    """Copies on one engine are that engine's own affair."""
    (one, _), (other, _) = pairs.new(), pairs.new()
    with pytest.raises(ConfigurationError, match="one kind"):
        copy_outbox(one, other)


def test_copy_that_breaks_off_leaves_nothing(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """A copy that fails when all rows are there leaves no outbox, and can be made again."""
    source, destination = places
    OutboxBuilder(source).delivery("acme", "pending")
    with (
        patch.object(_draft_at(destination), "go_on_from", side_effect=OutboxError("no")),
        pytest.raises(OutboxError, match="no"),
    ):
        copy_outbox(source, destination)
    assert not exists(destination)
    if isinstance(destination, Path):
        assert [one.name for one in destination.parent.iterdir()] == ["forwarder.lock"]
    copy_outbox(source, destination)
    assert inspect(destination).deliveries == {"pending": 1}


def test_what_a_crash_left_is_no_outbox(
    tmp_path: Path, new_database: Callable[[], Database]
) -> None:
    """A draft of a file that was never finished is made anew by the next copy."""
    database, file = new_database(), tmp_path / "outbox.db"
    OutboxBuilder(database).delivery("acme", "pending")
    file.with_name("outbox.db.new").write_bytes(b"half")
    copy_outbox(database, file)
    assert inspect(file).deliveries == {"pending": 1}
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".new"] == []


@pytest.mark.parametrize("lost", ["delivery", "attempt", "told", "device"])
def test_row_that_is_lost_on_the_way_is_noticed(
    places: tuple[OutboxPlace, OutboxPlace], lost: str
) -> None:
    """Where a row does not arrive, or arrives changed, the copy is refused and nothing is left of it."""
    source, destination = places
    history = [*_other("acme", EndpointHealth(), Device("ECC9FF5C7AD4"), b"")]
    live(source, history).delivery("acme", "dead")
    draft = _draft_at(destination)
    take = draft.take

    def lose(self: Any, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        take(self, table, columns, [*rows][:-1] if table == lost else rows)

    with patch.object(draft, "take", lose), pytest.raises(OutboxError, match=f"its table {lost}"):
        copy_outbox(source, destination)
    assert not exists(destination)


def test_totals_that_differ_are_noticed(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """The accounts are compared beside the rows."""
    source, destination = places
    OutboxBuilder(source).delivery("acme", "dead")
    with (
        patch.object(_draft_at(destination), "totals", return_value=[]),
        pytest.raises(OutboxError, match="totals"),
    ):
        copy_outbox(source, destination)
    assert not exists(destination)


def _draft_at(place: OutboxPlace) -> type[Any]:
    is_file = isinstance(place, Path)
    return sqlite_copying.SqliteDraft if is_file else postgres_copying.PostgresDraft


def test_incomplete_source_is_refused(tmp_path: Path, new_database: Callable[[], Database]) -> None:
    """A file that has lost its end, or is no sound database, is not copied as if it were whole."""
    file, database = tmp_path / "outbox.db", new_database()
    OutboxBuilder(file).delivery("acme", "pending")
    mark = high_water_mark.HighWaterMark(file)
    mark.move(high_water_mark.Numbers(7, 0))
    mark.close()
    with pytest.raises(OutboxIncomplete, match="6 readings"):
        copy_outbox(file, database)
    file.write_bytes(b"no database at all" * 500)
    with pytest.raises(OutboxDamaged):
        copy_outbox(file, database)
    assert not exists(database)


def test_leavings_of_another_outbox_are_refused(
    tmp_path: Path, new_database: Callable[[], Database]
) -> None:
    """A log or a mark that lies where the copy is to be would be taken for the copy's own."""
    database, file = new_database(), tmp_path / "outbox.db"
    OutboxBuilder(database)
    for suffix in ("-wal", "-mark"):
        left = file.with_name(file.name + suffix)
        left.write_bytes(b"left")
        with pytest.raises(OperationError, match=left.name):
            copy_outbox(database, file)
        left.unlink()


def test_tables_of_another_program_are_refused(
    tmp_path: Path, new_database: Callable[[], Database]
) -> None:
    """Nothing is put beside them."""
    file, database = tmp_path / "outbox.db", new_database()
    OutboxBuilder(file)
    with opened_connection(database) as connection:
        connection.execute("CREATE TABLE meter (id int)")
    with pytest.raises(OutboxError, match="another program"):
        copy_outbox(file, database)


def test_source_is_held_while_it_is_copied(places: tuple[OutboxPlace, OutboxPlace]) -> None:
    """What would change the source has to wait until the copy is there."""
    source, destination = places
    OutboxBuilder(source).delivery("acme", "dead")
    go_on_from = _draft_at(destination).go_on_from
    is_held: list[bool] = []

    def look_first(self: Any, *numbers: int) -> None:
        is_held.append(_is_held(source))
        go_on_from(self, *numbers)

    with patch.object(_draft_at(destination), "go_on_from", look_first):
        copy_outbox(source, destination)
    assert (is_held, _is_held(source)) == ([True], False)


def _is_held(place: OutboxPlace) -> bool:
    """Whether whoever writes to it would have to wait."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place, timeout=0, isolation_level=None)) as file:
            try:
                file.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False
    rows = ("SELECT 1 FROM line FOR UPDATE", "SELECT 1 FROM home FOR UPDATE")
    return all(_is_locked(place, query) for query in rows)


def _is_locked(database: Database, query: str) -> bool:
    try:
        with opened_connection(database) as connection:
            connection.execute("SET lock_timeout = '10ms'")
            connection.execute(query)
    except OutboxUnavailable:
        return True
    return False


def test_fingerprint_tells_rows_apart() -> None:
    """Order does not matter; a row that is missing, there twice, or of another type does."""
    rows = [(1, "a", 0.5, b"x", None), (2, "b", 1.0, b"", None)]
    one = Fingerprint.of(rows)
    assert one == Fingerprint.of(reversed(rows))
    others = [rows[:1], [*rows, rows[0]], [rows[0], (2, "b", 1, b"", None)], []]
    assert one not in [Fingerprint.of(other) for other in others]
