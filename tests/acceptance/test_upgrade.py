"""
The outbox of a released version meets today's program, and the other way round.

outbox-0.1.0.db.gz was written by the released program: 150 readings of 5 devices, all of them pending for acme.
"""

import gzip
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.line import Line, assert_balanced

FIXTURES = Path(__file__).parents[1] / "fixtures"
RELEASED = sorted(FIXTURES.glob("outbox-*.db.gz"))
WAITING = 150


def put_in_place(written: Path, outbox: Path) -> None:
    """Alone, and as if it had been written just now, because readings go stale."""
    for old in outbox.parent.glob(f"{outbox.name}*"):
        old.unlink()
    outbox.write_bytes(gzip.decompress(written.read_bytes()))
    with closing(sqlite3.connect(outbox)) as file:
        file.execute("UPDATE reading SET received_at = ?", (time.time(),))
        file.execute("UPDATE delivery SET enqueued_at = ?1, age_from = ?1", (time.time(),))
        file.commit()


@pytest.mark.parametrize("written", RELEASED, ids=lambda path: path.name.removesuffix(".db.gz"))
async def test_outbox_of_a_release_opens_while_messages_come(line: Line, written: Path) -> None:
    """All that waited in it is delivered once, as is all that comes meanwhile."""
    acme = await line.receiver("acme")
    await line.start()  # from now on the broker keeps what comes for this session
    await line.service.stop()
    put_in_place(written, line.service.outbox)
    async with line.flowing():
        await line.service.start_ready()
        await acme.until_count(WAITING + 50)
    await acme.until_count(WAITING + line.fleet.count)

    assert acme.forged == []
    totals = await line.service.settled("acme", lambda accounts: not accounts.pending)
    assert (totals.enqueued, totals.delivered) == (acme.count, acme.count)
    assert_balanced(await line.service.status())


async def test_outbox_of_a_later_version_is_refused(line: Line) -> None:
    """The start ends with one sentence that says what to run, and leaves the file as it is."""
    await line.receiver("acme")
    await line.start()
    await line.service.stop()
    with closing(sqlite3.connect(line.service.outbox)) as outbox:
        outbox.execute("PRAGMA user_version = 99")
    content = line.service.outbox.read_bytes()
    await line.service.start()

    assert await line.service.ended() == 1
    (sentence,) = line.service.complaints
    assert "was written by a newer forwarder (schema 99, " in sentence
    assert sentence.endswith("run that version or newer")
    assert line.service.outbox.read_bytes() == content
