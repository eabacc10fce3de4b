"""The statements over many rows, beside one row at a time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.outbox import attempt
from support.readings import STARTED_AT, new_reading

from forwarder.delivery import (
    Attempt,
    Bury,
    Delivery,
    Done,
    Expire,
    ReadingNumber,
    RetryAt,
    Supersede,
)
from forwarder.outbox import NewQuarantined, NewReading, Recipient, Settlement
from forwarder.outbox.sql.putting import put, put_all
from forwarder.outbox.sql.webhook_ids import as_bytes
from forwarder.outbox.sqlite.high_water_mark import numbers_in
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device, WebhookId

ONE, TWO = Device("ECC9FF5C0001"), Device("ECC9FF5C0002")
NOW = STARTED_AT + 1
WINDOW: dict[str, Any] = {"now": NOW, "content_since": STARTED_AT - 10}


@contextmanager
def empty_store() -> Iterator[Store]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema = files("forwarder.outbox.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
        connection.executescript(schema)
        yield Store(connection)


def contents(store: Store) -> list[list[tuple[Any, ...]]]:
    """All that counts; of the numbers their order alone, because a repetition may use one up."""
    store.add_totals()
    queries = (
        "SELECT id, device, measured_at, received_at, content FROM reading ORDER BY number",
        """
        SELECT r.id, e.name, d.device, d.state, d.reason, d.attempts, d.due_at, d.last_status, d.last_error,
            d.duration_ms, d.settled_at, d.enqueued_at, d.age_from
        FROM delivery d JOIN reading r ON r.number = d.reading JOIN endpoint e ON e.id = d.endpoint
        ORDER BY 1, 2""",
        "SELECT r.id, b.data FROM body b JOIN reading r ON r.number = b.reading ORDER BY 1",
        "SELECT name, enqueued, delivered, dead, expired, superseded FROM endpoint ORDER BY 1",
    )
    return [store.connection.execute(query).fetchall() for query in queries]


@st.composite
def readings(draw: st.DrawFn) -> NewReading:
    """Of few payloads, so that many come again: to other endpoints, or without a time of their own."""
    payload = draw(st.sampled_from("abcdefgh"))
    names = draw(st.sets(st.sampled_from(["acme", "archive"])))
    to = [Recipient(name) for name in sorted(names)]
    if payload in "abcd":
        to.append(Recipient("home", only_latest=True))
    content = draw(st.sampled_from([None, b"x", b"y"]))
    return new_reading(
        ONE if payload in "abef" else TWO,
        payload,
        recipients=tuple(to),
        content=content,
        is_redelivery=draw(st.booleans()),
    )


@given(st.lists(readings(), max_size=8), st.lists(readings(), max_size=12))
def test_a_group_is_put_as_its_readings_one_by_one(
    before: list[NewReading], group: list[NewReading]
) -> None:
    """Rows, accounts, and who did not have a reading yet are the same."""
    with empty_store() as together, empty_store() as singly:
        for store in (together, singly):
            for one in before:
                put(store, one, **WINDOW)
        runs = put_all(together, group, **WINDOW).runs
        recipients = [put(singly, one, **WINDOW)[1] for one in group]
        assert [run.recipients for run in runs for _ in run.readings] == recipients
        assert [one for run in runs for one in run.readings] == group
        assert contents(together) == contents(singly)


@given(st.lists(readings(), max_size=12))
def test_numbers_are_those_of_the_rows(group: list[NewReading]) -> None:
    """What a run says of its readings' numbers is where they are found; they grow, also after a group is erased."""
    with empty_store() as store:
        runs = put_all(store, group, **WINDOW).runs
        number_of = dict(store.connection.execute("SELECT number, id FROM reading").fetchall())
        for run in runs:
            if run.recipients:
                ids = [as_bytes(one.webhook_id) for one in run.readings]
                assert [number_of[number] for number in range(run.first, run.last + 1)] == ids
        highest = max(number_of, default=0)
        store.connection.execute("DELETE FROM reading")
        assert put(store, new_reading(ONE, "later"), **WINDOW)[0] > highest


ATTEMPTS = st.builds(
    Attempt,
    number=st.sampled_from([1, 1, 1, 2]),
    attempted_at=st.just(NOW),
    duration_ms=st.sampled_from([1.5, 2.5, 7.0]),
    status=st.sampled_from([204, 204, 204, 503]),
    error=st.sampled_from(["", "", "", "http_503"]),
)
DECISIONS = st.sampled_from(
    [*[Done()] * 12, Bury("refused"), Bury("exhausted"), Expire(), Supersede(), RetryAt(NOW + 60)]
)


@given(st.lists(st.tuples(DECISIONS, st.none() | ATTEMPTS), min_size=1, max_size=90))
def test_settlements_together_are_as_one_by_one(
    decided: list[tuple[Any, Attempt | None]],
) -> None:
    """Rows, accounts and bodies are the same, whatever was decided."""
    group = [new_reading(ONE, f"{place}", to="acme home") for place in range(len(decided))]
    with empty_store() as together, empty_store() as singly:
        for store in (together, singly):
            (run,) = put_all(store, group, **WINDOW).runs
        settlements = [
            Settlement([_delivery(number, one)], decision, outcome)
            for (number, one), (decision, outcome) in zip(
                enumerate(run.readings, run.first), decided, strict=True
            )
        ]
        together.settle(settlements, now=NOW)
        for settlement in settlements:
            singly.settle([settlement], now=NOW)
        assert contents(together) == contents(singly)
        assert together.touched == set()


def _delivery(number: int, reading: NewReading) -> Delivery:
    return Delivery(
        ReadingNumber(number), "acme", reading.device, WebhookId(reading.webhook_id),
        reading.measured_at, reading.received_at, reading.received_at, 0, reading.data,
    )  # fmt: skip


def test_lanes_of_what_was_pending_no_more_are_touched() -> None:
    """Settling what a command has settled meanwhile changes nothing, and its lane is counted again."""
    with empty_store() as store:
        (run,) = put_all(store, [new_reading(ONE, f"{n}") for n in range(90)], **WINDOW).runs
        store.connection.execute(
            "UPDATE delivery SET state = 'dead' WHERE reading = ?", (run.last,)
        )
        done = [
            Settlement([_delivery(number, one)], Done(), attempt())
            for number, one in enumerate(run.readings, run.first)
        ]
        store.settle(done, now=NOW)
        rows = store.connection.execute("SELECT state, count(*) FROM delivery GROUP BY state")
        assert dict(rows.fetchall()) == {"dead": 1, "delivered": 89}
        assert store.touched == {("acme", ONE)}


def test_retry_of_what_was_pending_no_more_touches_its_lane() -> None:
    """A command has ended it meanwhile: it stays ended, and its lane is counted again."""
    with empty_store() as store:
        (run,) = put_all(store, [new_reading(ONE, "a")], **WINDOW).runs
        store.connection.execute("UPDATE delivery SET state = 'dead'")
        delivery = _delivery(run.first, run.readings[0])
        store.settle([Settlement([delivery], RetryAt(NOW + 60), attempt())], now=NOW)
        assert store.connection.execute("SELECT state FROM delivery").fetchall() == [("dead",)]
        assert store.touched == {("acme", ONE)}


@given(groups=st.lists(st.lists(readings(), max_size=4), max_size=6), is_quarantining=st.booleans())
def test_numbers_are_those_that_sqlite_keeps(
    groups: list[list[NewReading]], *, is_quarantining: bool
) -> None:
    """Though they are not asked for anew after each group: one too high would look as if something had been lost."""
    with empty_store() as store:
        store.begin()
        for group in groups:
            put_all(store, group, **WINDOW)
            if is_quarantining:
                message = NewQuarantined(ONE, "ext/a", NOW, "not_json", "not JSON", 1, b"x")
                store.quarantine([message], max_bytes=1 << 20)
            assert store.numbers() == numbers_in(store.connection)
