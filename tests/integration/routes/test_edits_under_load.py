"""500 edits of the routing file, a third of them broken, while messages flow into a real outbox."""

import asyncio
import random
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from support.clock import HandClock
from support.ingesting import drained
from support.outbox_harness import OutboxHarness
from support.routing import ENVIRON

from forwarder.ingest import Ingest
from forwarder.metrics import Metrics
from forwarder.normalise import FastPath, Normaliser
from forwarder.reading import Device, Message, rfc3339
from forwarder.routes import LOOK_EVERY_SECONDS, Applied, Rejected, Routes, RoutesFile

EDITS = 500
MESSAGES_PER_LOOK = 2
LOOKS_PER_EDIT = 4
ENDPOINTS = ("acme", "beta", "home")
DEVICES = [Device(f"ECC9FF5C7F{number:02X}") for number in range(6)]
HEAD = "defaults: {url: 'https://a.example/', secret: env:KEY}\nendpoints:\n"
BROKEN = ["", "endpoints: [", HEAD + "  acme: {devices: [nobody]}\n", HEAD[:40]]


@dataclass(frozen=True)
class Sent:
    """A message, with the number of the newest table when it was received."""

    message: Message
    measured_at: str
    table: int


class Line:
    """Routes, ingest and outbox as the service wires them; time passes only by `look`."""

    def __init__(self, folder: Path, harness: OutboxHarness) -> None:
        self.path = folder / "routes.yaml"
        self.clock = harness.clock
        self.tables: list[dict[Device, frozenset[str]]] = []
        self.rejections = 0
        self.sent: list[Sent] = []
        self.acknowledged: dict[Message, int] = {}
        normaliser = Normaliser(timezone=ZoneInfo("UTC"), max_message_bytes=65536)
        self.ingest: Ingest[Sent] = Ingest(
            normaliser=normaliser,
            fast_path=FastPath(normaliser),
            outbox=harness.open(),
            metrics=Metrics(),
            max_message_bytes=65536,
            acknowledge=self._acknowledge,
        )
        self.file = RoutesFile(self.path, environ=ENVIRON, clock=self.clock)
        self._edit_once(random.Random(0))
        self._use(self.file.load())

    def _acknowledge(self, group: Sequence[Sent]) -> None:
        for sent in group:
            self.acknowledged[sent.message] = len(self.tables) - 1

    def _use(self, routes: Routes) -> None:
        self.ingest.use(routes)
        self.tables.append({device: frozenset(routes.match(device)) for device in DEVICES})

    def _edit_once(self, dice: random.Random) -> None:
        lines = [
            f"  {name}: {{devices: [{', '.join(dice.sample(DEVICES, 3))}]}}\n" for name in ENDPOINTS
        ]
        self.path.write_text(HEAD + "".join(dice.sample(lines, dice.randint(1, 3))))

    def edit(self, dice: random.Random) -> None:
        if dice.random() < 1 / 3:
            self.path.write_text(dice.choice(BROKEN))
        else:
            self._edit_once(dice)

    async def look(self) -> None:
        self.clock.advance(LOOK_EVERY_SECONDS)
        told = await asyncio.to_thread(self.file.check)
        if isinstance(told, Applied):
            self._use(told.routes)
        self.rejections += isinstance(told, Rejected)

    def receive(self, device: Device) -> None:
        """One message that no other equals: its reading is known by the second in which it was measured."""
        measured_at = self.clock.started_at + timedelta(seconds=len(self.sent))
        payload = f'{{"timestamp": {int(measured_at.timestamp())}, "power.in": 1}}'.encode()
        message = Message(f"ext/acme/{device}", payload, self.clock.now())
        sent = Sent(message, rfc3339(measured_at), len(self.tables) - 1)
        self.sent.append(sent)
        self.ingest.receive([sent])


async def test_each_reading_goes_where_one_whole_table_sends_it(tmp_path: Path) -> None:
    """Nothing is lost or doubled, and no reading reaches an endpoint that neither the old nor the new table names."""
    dice = random.Random(1)
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    line = Line(tmp_path, harness)
    ingesting = asyncio.create_task(line.ingest.run())
    for _ in range(EDITS):
        line.edit(dice)
        for _ in range(LOOKS_PER_EDIT):
            for device in dice.sample(DEVICES, MESSAGES_PER_LOOK):
                line.receive(device)
            await line.look()
    await drained(line.ingest)
    ingesting.cancel()
    await harness.kill()

    assert len(line.acknowledged) == len(line.sent) == EDITS * LOOKS_PER_EDIT * MESSAGES_PER_LOOK
    assert len(line.tables) > EDITS / 3
    assert line.rejections > EDITS / 6
    got = recipients(tmp_path / "outbox.db")
    for sent in line.sent:
        assert got[sent.measured_at] in possible(line, sent)


def possible(line: Line, sent: Sent) -> list[frozenset[str]]:
    """What the tables say that were in force between the message's receipt and its acknowledgement."""
    device = Device(sent.message.topic.rpartition("/")[2])
    in_force = line.tables[sent.table : line.acknowledged[sent.message] + 1]
    return [table[device] for table in in_force]


def recipients(outbox: Path) -> dict[str, frozenset[str]]:
    """Who is owed what, by the second in which it was measured; the same reading twice would be a second row."""
    with closing(sqlite3.connect(outbox)) as connection:
        rows = connection.execute(
            "SELECT reading.measured_at, endpoint.name FROM delivery"
            " JOIN reading ON reading.number = delivery.reading"
            " JOIN endpoint ON endpoint.id = delivery.endpoint"
        ).fetchall()
    assert len(rows) == len(set(rows))
    owed = defaultdict[str, set[str]](set)
    for measured_at, name in rows:
        owed[measured_at].add(name)
    return defaultdict(frozenset, {key: frozenset(names) for key, names in owed.items()})
