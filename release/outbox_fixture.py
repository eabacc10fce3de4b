"""
`make outbox-fixture`: an outbox that today's program writes, kept for the programs to come.

It goes to tests/fixtures/outbox-<version>.db.gz. Each of 170 readings of 5 devices is owed to two endpoints. acme
accepts 10, refuses 10 and then fails, so 150 are pending. home is paused. 3 messages are in quarantine.
tests/acceptance/test_upgrade.py opens every such file.
"""

import asyncio
import gzip
import sys
import tempfile
from pathlib import Path

from forwarder import __version__
from release.__main__ import ROOT

# It stands on what the tests stand on: mosquitto, bare receivers.
sys.path.append(str(ROOT / "tests"))

from support.line import Fleet, Line, a_line, topic_of
from support.webhooks import OK, UNAVAILABLE, Answer, Post

READINGS, ACCEPTED, REFUSED, JUNK = 170, 10, 10, 3
UNHURRIED = {"initial": "5s", "max": "15m"}


def answer(post: Post) -> Answer:
    """To the first readings 2xx, to the next ones a refusal, to all others a failure."""
    if post.number <= ACCEPTED:
        return OK
    return Answer(422) if post.number <= ACCEPTED + REFUSED else UNAVAILABLE


async def fill(line: Line, name: str) -> None:
    """`name` makes the readings others than those of a test that opens the file."""
    line.fleet = Fleet(size=5)
    await line.receiver("acme", answer, retry=UNHURRIED)
    await line.receiver("home")
    await line.start()
    await line.service.command("endpoints", "pause", "home")
    await line.publish(READINGS, padding=name)
    device = line.fleet.devices[0]
    await line.publish_messages([(topic_of(device), b"no JSON")] * JUNK)
    waiting = READINGS - ACCEPTED - REFUSED
    await line.service.settled("acme", lambda its: (its.dead, its.pending) == (REFUSED, waiting))
    await line.service.settled("home", lambda its: its.pending == READINGS)
    await line.service.counted("quarantined", JUNK)
    await line.service.stop()


async def written(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        async with a_line(Path(folder)) as line:
            await fill(line, name)
            return line.service.outbox.read_bytes()


if __name__ == "__main__":
    name = f"outbox-{__version__}.db.gz"
    content = gzip.compress(asyncio.run(written(name)), mtime=0)
    (ROOT / "tests" / "fixtures" / name).write_bytes(content)
    print(f"tests/fixtures/{name}: {len(content):,} bytes")
