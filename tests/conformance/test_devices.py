"""Records of devices: kept across restarts, erased by purge, and never in the line's way."""

import asyncio
from pathlib import Path

import pytest
from support.engines import HeldDisk
from support.outbox import flush, must_claim, settle, totals
from support.outbox_harness import OutboxHarness
from support.readings import new_reading
from support.routing import ENVIRON

from forwarder.operator.devices import DeviceStatus, devices_behind, read_devices
from forwarder.outbox import DeviceRecord, KnownDevice, NewQuarantined, Outbox, Unrouted, opened
from forwarder.outbox.changes import Changes
from forwarder.outbox.devices import Devices
from forwarder.outbox.operations import ForgetDevice, ForgetNotes
from forwarder.reading import Device
from forwarder.routes import load_routes

ONE, TWO, NOBODYS = "ECC9FF5C0001", "ECC9FF5C0002", Device("ECC9FF5C0003")


async def stop(outbox: Outbox, harness: OutboxHarness) -> None:
    await outbox.close()
    await harness.ended()


async def kept(outbox: Outbox) -> None:
    """Return once what was seen is on disk."""
    while outbox.keep_devices():
        pass
    await flush(outbox)


def records(harness: OutboxHarness) -> dict[str, DeviceRecord]:
    with opened(harness.place, is_read_only=True) as file:
        return {one.device: one for one in file.devices()}


async def test_every_device_that_was_heard_of_has_a_record(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """Whose reading was put, whose message is in quarantine, and whom nobody wants."""
    bad = NewQuarantined(Device(TWO), "t", 1763461062.0, "not_json", "no JSON", 1, b"x")
    await outbox.put([new_reading(ONE, received_at=1763461061.0), bad])
    outbox.see_unrouted([Unrouted(NOBODYS, "2025-11-18T10:17:40Z", 1763461063.0)])
    await kept(outbox)
    found = records(harness)
    assert set(found) == {ONE, TWO, NOBODYS}
    assert found[ONE].measured_at == "2025-11-18T10:17:40Z"
    assert (found[TWO].last_at, found[NOBODYS].unreadable_at) == (None, None)


@pytest.mark.parametrize("unrouted", [False, True])
@pytest.mark.parametrize("silent", [False, True])
async def test_parts_of_the_list_are_the_list(
    outbox: Outbox, harness: OutboxHarness, tmp_path: Path, *, silent: bool, unrouted: bool
) -> None:
    """By name as Python orders names, whatever their letters; read a part at a time, or all at once."""
    heard = [Device(name) for name in (ONE, TWO, "a b", "Z", "z", "é", "Ä", "中", "~", "0")]
    await outbox.put([new_reading(one) for one in heard])
    await kept(outbox)
    for one in outbox.devices:
        outbox.devices.mark(one, silent_since=1763461061.0 if one.device in "zé0" else None)
    bad = NewQuarantined(Device("y"), "t", 1763461062.0, "not_json", "no JSON", 1, b"x")
    await outbox.put([bad])
    await kept(outbox)
    (tmp_path / "routes.yaml").write_text(
        f"endpoints: {{acme: {{url: 'https://a.example/', secret: env:KEY, devices: [{ONE}, {NOBODYS}]}}}}"
    )
    routes = load_routes(tmp_path / "routes.yaml", environ=ENVIRON)
    with opened(harness.place, is_read_only=True) as file:
        every = [
            one
            for one in read_devices(file, routes)
            if (one.silent_since or not silent) and (one.is_unrouted or not unrouted)
        ]
        found: list[DeviceStatus] = []
        while part := devices_behind(
            file,
            routes,
            found[-1].device if found else "",
            limit=3,
            silent=silent,
            unrouted=unrouted,
        ):
            found += part
    assert found == every
    assert len(found) == (3 if silent else 12 - 2 * unrouted)


async def test_records_survive_a_restart(outbox: Outbox, harness: OutboxHarness) -> None:
    """A stop writes what is not written yet, and the next process counts on."""
    await outbox.put([new_reading(ONE, "a")])
    await stop(outbox, harness)
    assert records(harness)[ONE].sightings == 1
    again = await harness.reopen()
    await again.put([new_reading(ONE, "b")])
    await stop(again, harness)
    assert records(harness)[ONE].sightings == 2


async def test_they_do_not_wait_for_the_disk(outbox: Outbox, harness: OutboxHarness) -> None:
    """A commit that brings nothing but records needs no fsync."""
    outbox.see_unrouted([Unrouted(NOBODYS, "2025-11-18T10:17:40Z", 1763461063.0)])
    outbox.keep_devices()
    waits = harness.engine.waits
    count = len(waits)
    outbox.look()
    async with asyncio.timeout(10):
        while len(waits) == count:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0)
    assert waits[count:] == [False]
    assert set(records(harness)) == {NOBODYS}


async def test_records_are_written_once_the_disk_takes_them(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """A commit that failed takes them along when it is done again."""
    await outbox.put([new_reading(ONE)])
    outbox.keep_devices()
    harness.engine.refuse_writes()
    waiting = outbox.put([new_reading(TWO)])
    async with asyncio.timeout(10):
        while outbox.capacity.is_writable:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0)
    harness.engine.accept_writes()
    harness.clock.advance(1)
    await waiting
    assert ONE in records(harness)


async def test_a_command_erases_a_record_for_good(outbox: Outbox, harness: OutboxHarness) -> None:
    """The running service forgets the device too, though it had more to write of it."""
    await outbox.put([new_reading(ONE, "a"), new_reading(TWO, "b")])
    await kept(outbox)
    await outbox.put([new_reading(ONE, "c")])
    with opened(harness.place) as file:
        file.operate(ForgetDevice(Device(ONE)))
    outbox.look()
    await kept(outbox)
    await stop(outbox, harness)
    assert harness.engine.rows("touched_lane") == []
    assert set(records(harness)) == {TWO}


async def known_and_purged(outbox: Outbox, harness: OutboxHarness) -> KnownDevice:
    """A device as the loop knows it, which a command has just purged."""
    await outbox.put([new_reading(ONE, "a")])
    await kept(outbox)
    known = outbox.devices.find(Device(ONE))
    assert known is not None
    with opened(harness.place) as file:
        file.operate(ForgetDevice(Device(ONE)))
    return known


async def test_a_record_on_its_way_is_erased_too(outbox: Outbox, harness: OutboxHarness) -> None:
    """What the loop had handed over before it heard of the purge does not bring the device back."""
    known = await known_and_purged(outbox, harness)
    with HeldDisk(harness.engine) as disk:
        outbox.look()
        await asyncio.to_thread(disk.is_reached.wait, 10)
        outbox.devices.mark(known, silent_since=1.0)
        outbox.keep_devices()
        disk.let_go()
        await flush(outbox)
    assert records(harness) == {}


async def test_a_record_of_the_transaction_that_hears_of_a_purge_is_erased_too(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """The loop had handed it over before the transaction took the purge's note."""
    known = await known_and_purged(outbox, harness)
    changes = Changes(devices={known.place: known.record()})
    assert harness.engine.apply(changes, now=0.0).forgotten == {ONE}
    assert records(harness) == {}


async def test_a_record_of_a_transaction_that_begins_at_once_is_erased_too(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """One that was made before the loop heard of the purge in the transaction before."""
    known = await known_and_purged(outbox, harness)
    assert harness.engine.apply(Changes(), now=0.0).forgotten == {ONE}
    harness.engine.apply(Changes(devices={known.place: known.record()}), now=0.0)
    assert records(harness) == {}


async def test_a_note_that_nobody_reads_is_erased_too(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """While no service runs, the command takes back what it noted for it."""
    await outbox.put([new_reading(ONE)])
    await stop(outbox, harness)
    with opened(harness.place) as file:
        file.operate(ForgetDevice(Device(ONE)))
        file.operate(ForgetNotes(Device(ONE)))
    assert harness.engine.rows("touched_lane") == []
    assert records(harness) == {}


async def test_a_fault_in_them_stops_nothing(
    outbox: Outbox, harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever raises in them, readings go on from put to settlement."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    for method in ("restore", "see", "see_unrouted", "keep", "keep_all", "forget"):
        monkeypatch.setattr(Devices, method, fail)
    again = await harness.reopen()
    again.see_unrouted([Unrouted(NOBODYS, "2025-11-18T10:17:40Z", 1763461063.0)])
    again.keep_devices()
    assert await again.put([new_reading(ONE, "a")]) == ["accepted"]
    settle(again, await must_claim(again))
    await flush(again)
    assert (await totals(again)).delivered == 1
    await stop(again, harness)
