"""What the left half takes in while the outbox takes nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import structlog.testing
from support.clock import HandClock
from support.ingesting import drained
from support.outbox import flush, must_claim, until_it_failed
from support.outbox_harness import OutboxHarness
from support.readings import endpoint, routes_to

from forwarder.event_data import encode_data
from forwarder.ingest import (
    LARGEST_GROUP,
    LARGEST_GROUP_BYTES,
    MOST_STORING,
    MOST_STORING_BYTES,
    Ingest,
)
from forwarder.metrics import Metrics
from forwarder.normalise import FastPath, Normaliser
from forwarder.operator import quarantined_message
from forwarder.outbox import Outbox, opened
from forwarder.reading import Message, Reading, Unreadable, WebhookId, webhook_id

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Sent:
    message: Message


async def test_quarantine_knows_the_true_size(tmp_path: Path) -> None:
    """Of a message that is too large the beginning is kept; that this looks like a reading deceives nobody."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    acknowledged: list[list[Sent]] = []
    normaliser = Normaliser(timezone=ZoneInfo("UTC"), max_message_bytes=1024)
    ingest = new_ingest(harness, acknowledged, normaliser=normaliser)
    for number in range(3):
        whole = (b'{"timestamp":17634610%d,"P_In":1}' % (60 + number)).ljust(1024)
        topic = f"ext/it/ECC9FF5C000{number}"
        ingest.receive([Sent(Message(topic, whole, NOW))])
        ingest.receive([Sent(Message(topic, whole, NOW, bytes_left_out=200 << 20))])
    working = asyncio.create_task(ingest.run())
    await drained(ingest)
    working.cancel()
    assert (await harness.reopen()).accounts.overview().messages == {
        "accepted": 3,
        "quarantined": 3,
    }
    await harness.kill()
    with opened(tmp_path / "outbox.db", is_read_only=True) as file:
        kept = [quarantined_message(file, number) for number in (1, 2, 3)]
    assert {(one.reason, one.size, one.is_cut_off) for one in kept} == {
        ("too_large", (200 << 20) + 1024, True)
    }


class Broken(Normaliser):
    """A normaliser with a fault that nobody has foreseen."""

    def normalise(self, message: Message) -> Reading | Unreadable:
        raise ZeroDivisionError(message.topic)


async def test_message_that_breaks_us_is_kept_and_acknowledged(tmp_path: Path) -> None:
    """A message never acknowledged wedges the session: even one that we fail at goes to quarantine."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    acknowledged: list[list[Sent]] = []
    normaliser = Broken(timezone=ZoneInfo("UTC"), max_message_bytes=65536)
    ingest = new_ingest(harness, acknowledged, normaliser=normaliser)
    ingest.receive([Sent(Message("ext/it/ECC9FF5C0001", b"poison", datetime.now(UTC)))])
    working = asyncio.create_task(ingest.run())
    await drained(ingest)
    assert len(acknowledged) == 1
    working.cancel()
    outbox = await harness.reopen()
    assert outbox.accounts.overview().messages == {"quarantined": 1}
    assert outbox.accounts.overview().quarantined == {"internal_error": 1}
    await harness.kill()


class Counting(Normaliser):
    """A normaliser that knows how many payloads it has read."""

    readings = 0

    def normalise(self, message: Message) -> Reading | Unreadable:
        self.readings += 1
        return super().normalise(message)


@pytest.mark.parametrize(("uses_fast_path", "normalised"), [(True, 1), (False, 3)])
async def test_switch_of_the_fast_path_changes_no_byte(
    tmp_path: Path, *, uses_fast_path: bool, normalised: int
) -> None:
    """Without the fast path the normaliser reads every payload, and the same is stored."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    outbox = harness.open()
    normaliser = Counting(timezone=ZoneInfo("UTC"), max_message_bytes=65536)
    ingest = new_ingest(
        harness, [], normaliser=normaliser, outbox=outbox, uses_fast_path=uses_fast_path
    )
    messages = [
        Message("ext/it/ECC9FF5C0001", b'{"timestamp":17634610%d,"P_In":1.50}' % second, NOW)
        for second in (60, 61, 62)
    ]
    ingest.receive([Sent(message) for message in messages])
    working = asyncio.create_task(ingest.run())
    await drained(ingest)
    working.cancel()
    deliveries = (await must_claim(outbox, limit=3)).deliveries
    expected = [read_by_normaliser(message) for message in messages]
    assert [(one.webhook_id, one.data) for one in deliveries] == expected
    assert normaliser.readings == normalised
    await harness.kill()


def read_by_normaliser(message: Message) -> tuple[WebhookId, bytes]:
    reading = Normaliser(timezone=ZoneInfo("UTC"), max_message_bytes=65536).normalise(message)
    assert isinstance(reading, Reading)
    identity = webhook_id(reading.device, message.payload)
    return identity, encode_data(identity, reading)


@pytest.mark.parametrize(
    ("count", "payload_bytes", "groups"),
    [(LARGEST_GROUP + 1, 1, [LARGEST_GROUP, 1]), (5, LARGEST_GROUP_BYTES // 2, [2, 2, 1])],
)
async def test_group_is_bounded(
    tmp_path: Path, count: int, payload_bytes: int, groups: list[int]
) -> None:
    """Many messages, or large ones, take several turns of the loop, so that nobody waits long for his."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    acknowledged: list[list[Sent]] = []
    ingest = new_ingest(harness, acknowledged)
    for _ in range(count):
        payload = b" " * payload_bytes
        message = Message("ext/it/ECC9FF5C0001", payload, datetime.now(UTC), is_retained=True)
        ingest.receive([Sent(message)])
    working = asyncio.create_task(ingest.run())
    await drained(ingest)
    assert [len(group) for group in acknowledged] == groups
    working.cancel()
    await harness.kill()


async def test_message_that_comes_alone_takes_no_turn(tmp_path: Path) -> None:
    """While there is nothing else to do it is handed to the outbox as it comes."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    acknowledged: list[list[Sent]] = []
    outbox = harness.open()
    ingest = new_ingest(harness, acknowledged, outbox=outbox)
    working = asyncio.create_task(ingest.run())
    await flush(outbox)
    ingest.receive([Sent(Message("ext/it/ECC9FF5C0001", b'{"P_In":1}', NOW))])
    assert outbox.committing_since is not None
    ingest.receive([Sent(Message("ext/it/ECC9FF5C0001", b'{"P_In":2}', NOW, is_retained=True))])
    await drained(ingest)
    assert [len(group) for group in acknowledged] == [1, 1]
    working.cancel()
    await harness.kill()


async def test_stop_leaves_to_the_broker_what_cannot_be_stored(tmp_path: Path) -> None:
    """What is on its way to a full outbox when the work is stopped keeps nobody waiting, and is not acknowledged."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    acknowledged: list[list[Sent]] = []
    outbox = harness.open(max_bytes=1)
    ingest = new_ingest(harness, acknowledged, outbox=outbox)
    ingest.receive([Sent(Message("ext/it/ECC9FF5C0001", b'{"P_In":1}', NOW))])
    working = asyncio.create_task(ingest.run())
    await flush(outbox)
    working.cancel()
    await asyncio.wait([working])
    await outbox.close()
    await asyncio.wait_for(harness.ended(), timeout=10)
    assert acknowledged == []
    assert (await harness.reopen()).accounts.overview().messages == {}
    await harness.kill()


@pytest.mark.parametrize("payload_bytes", [20, MOST_STORING_BYTES // 10])
async def test_what_waits_for_the_disk_is_bounded(tmp_path: Path, payload_bytes: int) -> None:
    """While nothing can be written, some groups are made ready and no more; later all are acknowledged, in order."""
    clock = HandClock()
    harness = OutboxHarness(tmp_path / "outbox.db", clock)
    acknowledged: list[list[Sent]] = []
    outbox = harness.open()
    ingest = new_ingest(harness, acknowledged, outbox=outbox)
    harness.engine.fill()
    sent = [
        Sent(Message("ext/it/ECC9FF5C0001", (b'{"P_In":%d}' % number).ljust(payload_bytes), NOW))
        for number in range(2 * MOST_STORING)
    ]
    ingest.receive(sent)
    working = asyncio.create_task(ingest.run())
    await until_it_failed(outbox)
    for _ in range(1000):
        await asyncio.sleep(0)
    taken = sum(map(len, acknowledged))
    waiting = sent[taken : taken + ingest._storing]
    size = sum(len(one.message.payload) for one in waiting)
    assert len(waiting) >= MOST_STORING or size >= MOST_STORING_BYTES
    assert len(waiting) < MOST_STORING + LARGEST_GROUP
    assert size < MOST_STORING_BYTES + LARGEST_GROUP_BYTES + payload_bytes
    harness.engine.make_room()
    clock.advance(1)
    await drained(ingest)
    assert [one for group in acknowledged for one in group] == sent
    working.cancel()
    await harness.kill()


def new_ingest(
    harness: OutboxHarness,
    acknowledged: list[list[Sent]],
    *,
    normaliser: Normaliser | None = None,
    outbox: Outbox | None = None,
    uses_fast_path: bool = True,
) -> Ingest[Sent]:
    normaliser = normaliser or Normaliser(timezone=ZoneInfo("UTC"), max_message_bytes=65536)

    def acknowledge(group: Sequence[Sent]) -> None:
        acknowledged.append(list(group))

    ingest: Ingest[Sent] = Ingest(
        normaliser=normaliser,
        fast_path=FastPath(normaliser) if uses_fast_path else None,
        outbox=outbox or harness.open(),
        metrics=Metrics(),
        max_message_bytes=65536,
        acknowledge=acknowledge,
    )
    ingest.use(routes_to(endpoint()))
    return ingest


async def test_devices_that_nobody_wants_are_seen(tmp_path: Path) -> None:
    """Nothing of their readings is stored, but that they came; the fast path and the normaliser tell it alike."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    outbox = harness.open()
    ingest = new_ingest(harness, [], outbox=outbox)
    ingest.use(routes_to())
    for device in ("ECC9FF5C0001", "ECC9FF5C0002", "ECC9FF5C0002"):
        payload = b'{"timestamp":1763461060,"P_In":1}'
        ingest.receive([Sent(Message(f"ext/it/{device}", payload, NOW))])
    working = asyncio.create_task(ingest.run())
    await drained(ingest)
    working.cancel()
    outbox.keep_devices()
    await flush(outbox)
    with opened(harness.path, is_read_only=True) as file:
        found = {(one.device, one.measured_at, one.last_at) for one in file.devices()}
    assert found == {
        (device, "2025-11-18T10:17:40Z", NOW.timestamp())
        for device in ("ECC9FF5C0001", "ECC9FF5C0002")
    }
    await harness.kill()


async def told_of(tmp_path: Path, *messages: Message) -> list[str]:
    """The events at level warning while these messages come, one after the other."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    acknowledged: list[list[Sent]] = []
    with structlog.testing.capture_logs() as logs:
        ingest = new_ingest(harness, acknowledged)
        working = asyncio.create_task(ingest.run())
        for message in messages:
            ingest.receive([Sent(message)])
            await drained(ingest)
    working.cancel()
    await harness.kill()
    return [log["event"] for log in logs if log["log_level"] == "warning"]


async def test_retained_messages_are_told_once_for_each_topic(tmp_path: Path) -> None:
    """A publisher that sets RETAIN on all it sends would else be missed without a word."""
    copies = [
        Message(f"ext/it/ECC9FF5C000{number}", b'{"P_In":1}', NOW, is_retained=True)
        for number in (1, 1, 2)
    ]

    assert await told_of(tmp_path, *copies) == ["message.retained"] * 2


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        pytest.param([1, 1, 1], [], id="as a broker repeats after a reconnect"),
        pytest.param([1, 1, 1, 1, 1, 1], ["device.repeats"], id="a clock that stands still"),
        pytest.param([1, 2, 3, 1, 2, 3, 1, 2, 3], [], id="a backlog that comes again"),
    ],
)
async def test_device_whose_readings_repeat_is_named(
    tmp_path: Path, seconds: list[int], told: list[str]
) -> None:
    """Its readings count as one; somebody has to hear of it."""
    messages = [
        Message("ext/it/ECC9FF5C0001", b'{"P_In":0,"timestamp":176346000%d}' % one, NOW)
        for one in seconds
    ]

    assert await told_of(tmp_path, *messages) == told
