"""A purge leaves no trace of a device: looked for in the bytes of every file."""

import asyncio
from pathlib import Path

import pytest
from support.outbox import claim, flush, must_claim, totals
from support.outbox_builder import BERN, ZURICH, OutboxBuilder, attempt
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.delivery import Bury, Delivery
from forwarder.outbox import (
    Purged,
    Settlement,
    copies_aside,
    inspect,
    opened,
)
from forwarder.outbox.sqlite import file as outbox_file

SPELLINGS = (b"ECC9FF5C7AD4", b"ecc9ff5c7ad4", b"EC:C9:FF:5C:7A:D4", b"ec-c9-ff-5c-7a-d4")
STATES = ("pending", "delivered", "dead", "expired", "superseded")


def purge_file(path: Path) -> Purged:
    with opened(path) as file:
        return file.purge(ZURICH)


def traces(directory: Path, *needles: bytes) -> list[tuple[str, bytes]]:
    """Where any of these bytes, or the device in any spelling, is found."""
    return [
        (path.name, needle)
        for path in directory.iterdir()
        for needle in (*SPELLINGS, *needles)
        if needle in path.read_bytes()
    ]


def _fill(built: OutboxBuilder, rounds: int = 1) -> None:
    for _ in range(rounds):
        for state in STATES:
            built.delivery("acme", state)
            built.delivery("acme", state, device=BERN)
    built.delivery("home", "dead", attempts=tuple(attempt(number) for number in range(1, 4)))
    built.quarantine(b"payload-of-zurich")
    built.quarantine(b"payload-of-bern", device=BERN)


def test_purge_says_how_much(built: OutboxBuilder) -> None:
    """What is erased is counted; what was pending counts as dead for ever."""
    _fill(built)
    before = built.accounts("acme")

    purged = purge_file(built.path)

    assert purged == Purged(deliveries=6, pending=1, quarantined=1, is_rewritten=True)
    assert built.accounts("acme") == {**before, "dead": before["dead"] + 1, "pending": 1}


def test_no_trace_is_left(built: OutboxBuilder) -> None:
    """The device's name and payloads are in no file; others keep everything, and the outbox is sound."""
    _fill(built, rounds=20)
    others = built.rows("SELECT count(*) FROM delivery WHERE device = ?", BERN)

    purge_file(built.path)

    assert traces(built.path.parent, b"payload-of-zurich") == []
    assert built.rows("SELECT count(*) FROM delivery") == others
    assert built.rows("SELECT payload FROM quarantine") == [(b"payload-of-bern",)]
    assert inspect(built.path).faults == ()


def test_what_was_deleted_long_ago_leaves_no_trace_either(built: OutboxBuilder) -> None:
    """Pages that were freed without being overwritten, by another build of SQLite, are gone too."""
    _fill(built, rounds=40)
    connection = outbox_file.connect(built.path)
    connection.execute("PRAGMA secure_delete = OFF")
    for table in ("delivery", "body", "reading"):
        connection.execute(f"DELETE FROM {table}")
    connection.close()
    assert traces(built.path.parent)

    purge_file(built.path)

    assert traces(built.path.parent) == []


@pytest.mark.parametrize(
    "payload",
    [
        b'{"sys.id": "ECC9FF5C7AD4"}',
        b'{"sys.id": "ec:c9:ff:5c:7a:d4"}',
        b"id=EC-C9-FF-5C-7A-D4,p=1",
        b"id=ecc9.ff5c.7ad4",
    ],
)
def test_messages_of_others_that_name_the_device_go_too(
    built: OutboxBuilder, payload: bytes
) -> None:
    """A message in quarantine because its topic and payload disagree belongs to both devices."""
    built.quarantine(payload, device=BERN, reason="device_mismatch")

    assert purge_file(built.path).quarantined == 1

    assert traces(built.path.parent) == []


def test_answers_of_receivers_that_name_the_device_are_blanked(built: OutboxBuilder) -> None:
    """Another device's attempt stays on record, without the answer that repeats a whole batch."""
    built.delivery("acme", "dead", device=BERN, attempts=(attempt(1, answer=b"bad: ECC9FF5C7AD4"),))

    purge_file(built.path)

    assert built.rows("SELECT status, answer FROM attempt") == [(400, b"")]
    assert traces(built.path.parent) == []


def test_copies_aside_are_named(built: OutboxBuilder) -> None:
    """A damaged outbox that was moved aside may hold the device still: it is named, never opened."""
    aside = built.path.with_name("outbox.db.damaged-20251118T101740Z")
    aside.write_bytes(b"ECC9FF5C7AD4")

    purge_file(built.path)

    assert copies_aside(built.path) == [aside]
    assert aside.read_bytes() == b"ECC9FF5C7AD4"


async def test_purge_while_the_service_runs(built: OutboxBuilder, harness: OutboxHarness) -> None:
    """The service forgets the lanes by itself, sends nothing of the device any more, and leaves no trace."""
    outbox = harness.open()
    await outbox.put(
        [new_reading(device, str(number)) for device in (ZURICH, BERN) for number in range(50)]
    )

    purged = await asyncio.to_thread(purge_file, built.path)

    assert (purged.pending, purged.is_rewritten) == (50, True)
    assert traces(built.path.parent) == []
    assert (await totals(outbox)).pending == 50
    assert (await must_claim(outbox)).device == BERN
    assert await claim(outbox) is None


async def test_attempt_in_flight_leaves_no_trace(
    built: OutboxBuilder, harness: OutboxHarness
) -> None:
    """An attempt that ends after its delivery was erased is recorded nowhere, and counted once."""
    outbox = harness.open()
    await outbox.put([new_reading(ZURICH, "a")])
    claimed = await claim(outbox)
    assert claimed is not None

    await asyncio.to_thread(purge_file, built.path)
    outbox.settle("acme", [_refused(claimed.deliveries[0])], ends=[claimed])
    await flush(outbox)

    assert built.accounts("acme") == {
        "enqueued": 1, "delivered": 0, "dead": 1, "expired": 0, "superseded": 0, "pending": 0,
    }  # fmt: skip
    assert inspect(built.path).faults == ()
    assert await claim(outbox) is None


def _refused(delivery: Delivery) -> Settlement:
    return Settlement([delivery], Bury("refused"), attempt(1, answer=b"ECC9FF5C7AD4"))
