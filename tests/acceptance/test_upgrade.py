"""
The outbox of a released version meets today's program, and the other way round.

Released programs wrote the files. outbox-0.1.0.db.gz holds 150 readings of 5 devices, all of them pending for acme;
`make outbox-fixture` made the others, and release/outbox_fixture.py says what they hold.
"""

import gzip
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.line import Line, assert_balanced

from forwarder import __version__

FIXTURES = Path(__file__).parents[1] / "fixtures"
RELEASED = sorted(FIXTURES.glob("outbox-*.db.gz"))
each_release = pytest.mark.parametrize(
    "written", RELEASED, ids=lambda path: path.name.removesuffix(".db.gz")
)
WRITTEN_NOW = (
    "UPDATE reading SET received_at = ?",
    "UPDATE delivery SET enqueued_at = ?1, age_from = ?1",
    "UPDATE delivery SET settled_at = ? WHERE settled_at IS NOT NULL",
    "UPDATE quarantine SET received_at = ?",
)


@dataclass(frozen=True)
class Holds:
    """What a file holds before a later version opens it."""

    deliveries: Counter[tuple[str, str]]
    """By endpoint and state."""
    quarantined: int
    paused: frozenset[str]


def put_in_place(written: Path, outbox: Path) -> Holds:
    """Alone, and as if it had been written just now, because readings go stale."""
    for old in outbox.parent.glob(f"{outbox.name}*"):
        old.unlink()
    outbox.write_bytes(gzip.decompress(written.read_bytes()))
    with closing(sqlite3.connect(outbox)) as file:
        for statement in WRITTEN_NOW:
            file.execute(statement, (time.time(),))
        file.commit()
        return holds(file)


def holds(file: sqlite3.Connection) -> Holds:
    deliveries = file.execute(
        "SELECT name, state FROM delivery JOIN endpoint ON endpoint.id = delivery.endpoint"
    )
    paused = file.execute("SELECT name FROM endpoint WHERE paused_by IS NOT NULL")
    (quarantined,) = file.execute("SELECT count(*) FROM quarantine").fetchone()
    return Holds(Counter(deliveries), quarantined, frozenset(name for (name,) in paused))


def test_this_version_has_its_file() -> None:
    """`make outbox-fixture` writes it once the version has moved."""
    assert FIXTURES / f"outbox-{__version__}.db.gz" in RELEASED


@each_release
async def test_outbox_of_a_release_opens_while_messages_come(line: Line, written: Path) -> None:
    """All that waited in it is delivered once, as is all that comes meanwhile; the rest is as it was."""
    acme, home = await line.receiver("acme"), await line.receiver("home")
    await line.start()  # from now on the broker keeps what comes for this session
    await line.service.stop()
    before = put_in_place(written, line.service.outbox)
    waiting, dead = before.deliveries["acme", "pending"], before.deliveries["acme", "dead"]
    async with line.flowing():
        await line.service.start_ready()
        await acme.until_count(waiting + 50)
    await acme.until_count(waiting + line.fleet.count)

    assert acme.forged == []
    totals = await line.service.settled("acme", lambda accounts: not accounts.pending)
    assert totals.delivered == acme.count + before.deliveries["acme", "delivered"]
    assert (totals.enqueued, totals.dead) == (totals.delivered + dead, dead)
    status = await line.service.status()
    assert_balanced(status)
    assert status["quarantine"] == before.quarantined
    assert (home.count == 0) == ("home" in before.paused)


@each_release
async def test_operator_goes_on_with_the_outbox_of_a_release(line: Line, written: Path) -> None:
    """What was paused is resumed, what was dead is replayed, and each reading arrives once."""
    acme, home = await line.receiver("acme"), await line.receiver("home")
    await line.start()
    await line.service.stop()
    before = put_in_place(written, line.service.outbox)
    await line.service.start_ready()
    await line.service.command("endpoints", "resume", "home")
    await line.service.command("dead-letters", "replay", "--all")
    await acme.until_count(sum(before.deliveries["acme", state] for state in ("pending", "dead")))
    await home.until_count(before.deliveries["home", "pending"])

    for name, receiver in {"acme": acme, "home": home}.items():
        totals = await line.service.settled(name, lambda accounts: not accounts.pending)
        assert totals.delivered == receiver.count + before.deliveries[name, "delivered"]
        assert (receiver.forged, len(receiver.posts)) == ([], receiver.count)
    assert (await line.service.command("outbox", "check")).exit_code == 0


@each_release
async def test_outbox_of_a_later_version_is_refused(line: Line, written: Path) -> None:
    """The start ends with one sentence that says what to run, and leaves the file as it is."""
    await line.receiver("acme")
    await line.start()
    await line.service.stop()
    put_in_place(written, line.service.outbox)
    with closing(sqlite3.connect(line.service.outbox)) as outbox:
        outbox.execute("PRAGMA user_version = 99")
    content = line.service.outbox.read_bytes()
    await line.service.start()

    assert await line.service.ended() == 1
    (sentence,) = line.service.complaints
    assert "was written by a newer forwarder (schema 99, " in sentence
    assert sentence.endswith("run that version or newer")
    assert line.service.outbox.read_bytes() == content
