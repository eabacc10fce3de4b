"""The disk fills up, fails, or loses its power; or the outbox reaches the size that it may have."""

from functools import partial

from chaos.disk import Disk, fill_up, require, small_disk
from chaos.process import Impatient
from chaos.receiver import Policy, accepting, down
from chaos.scenarios.scenario import ENGINES, Scenario
from chaos.stage import Stage

RATE = 150.0
REFUSAL_SECONDS = 5.0
PADDING = "·" * 2000
"""Makes readings that fill a disk."""

LITTLE_ROOM = 512 << 10
"""Bytes; the messages that are waiting take less."""


def _all(stage: Stage, policy: Policy) -> None:
    for receiver in stage.receivers.values():
        receiver.policy = policy


async def _fill(stage: Stage, event: str) -> None:
    """Publish large readings that nobody takes, until the forwarder takes no more."""
    before = stage.forwarder.count_logged(event)
    _all(stage, down)
    async with stage.devices.flowing(per_second=RATE, padding=PADDING):
        await stage.forwarder.logged(event, times=before + 1)
    await stage.devices.publish_and_wait(50, padding=PADDING)


async def fill_disk(stage: Stage) -> None:
    """It fills up; the process is killed, starts on the full disk, or says why not; then there is room again."""
    with small_disk(stage.forwarder.outbox.parent, kilobytes=2048) as disk:
        await stage.forwarder.start_ready()
        await stage.devices.publish_and_wait(50)
        stage.inject("disk full")
        await _fill(stage, "outbox.failed")
        stage.hit("disk full")
        stage.inject("disk full in recovery")
        await stage.forwarder.kill()
        await _start_on_full_disk(stage)
        disk.remount("size=64m")
        _all(stage, accepting)
        if not stage.forwarder.is_running:
            await stage.forwarder.start()
        await stage.finish()


async def _start_on_full_disk(stage: Stage) -> None:
    before = len(stage.forwarder.complaints)
    await stage.forwarder.start()
    try:
        code = await stage.forwarder.ended(patience_seconds=4.0)
    except Impatient:
        stage.notes.append("runs on a full disk")
        stage.hit("disk full in recovery")
        return
    said = stage.forwarder.complaints[before:].strip()
    stage.notes.append(f"on a full disk: {said}")
    if code == 1 and said and "Traceback" not in said:
        stage.hit("disk full in recovery")


async def reach_limit(stage: Stage) -> None:
    """OUTBOX_MAX_BYTES: messages stay with the broker until deliveries make room."""
    stage.forwarder.settings["FORWARDER_OUTBOX_MAX_BYTES"] = "1MiB"
    await stage.forwarder.start_ready()
    stage.inject("OUTBOX_MAX_BYTES reached")
    await _fill(stage, "outbox.filled")
    said = await stage.forwarder.readiness(lambda said: not said["ready"], what="a full outbox")
    if "FORWARDER_OUTBOX_MAX_BYTES" in " ".join(said["reasons"]):
        stage.hit("OUTBOX_MAX_BYTES reached")


async def fail_fsync(stage: Stage) -> None:
    """Some fsyncs in a row end in an I/O error; what they were to keep is not acknowledged."""
    strace = require("strace")
    await stage.subscribe_once()
    failing = ("-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:when=20..24")
    quiet = ("-f", "-qq", "-o", "/dev/null")
    await stage.forwarder.start_ready(wrapped_in=(strace, *quiet, *failing))
    stage.inject("I/O error in fsync")
    async with stage.devices.flowing(per_second=RATE):
        await stage.forwarder.logged("outbox.failed")
        stage.hit("I/O error in fsync")
        await stage.forwarder.logged("outbox.recovered")
        await stage.pause(1.0)
    await stage.forwarder.kill()


async def start_read_only(stage: Stage) -> None:
    """A disk that came up read-only: one sentence, and nothing lost once it is writable."""
    with small_disk(stage.forwarder.outbox.parent, kilobytes=16384) as disk:
        await stage.forwarder.start_ready()
        _all(stage, down)
        await stage.devices.publish_and_wait(100)
        # Killed at once, it might not have noted yet that an attempt failed, and no attempt would be a second one.
        await stage.until_status(lambda status: status["endpoints"]["acme"]["last_error"])
        await stage.forwarder.kill()
        disk.remount("ro")
        stage.inject("read-only disk")
        before = len(stage.forwarder.complaints)
        await stage.forwarder.start()
        code = await stage.forwarder.ended()
        said = stage.forwarder.complaints[before:].strip()
        stage.notes.append(said)
        if code == 1 and said.count("\n") == 0:
            stage.hit("read-only disk")
        disk.remount("rw")
        _all(stage, accepting)
        await stage.finish()


async def start_full(stage: Stage) -> None:
    """Not a byte is free: no outbox can be begun, and one that is there is kept until there is room."""
    folder = stage.forwarder.outbox.parent
    with small_disk(folder, kilobytes=4096):
        stage.inject("full disk, no outbox")
        ballast = fill_up(folder)
        if await _refuses(stage):
            stage.hit("full disk, no outbox")
        ballast.unlink()
        await stage.forwarder.start_ready()
        _all(stage, down)
        await stage.devices.publish_and_wait(100)
        await stage.until_status(lambda status: status["messages"]["accepted"] >= 100)
        for end in (stage.forwarder.kill, stage.forwarder.stop):
            await end()
            await _start_full_with_outbox(stage)
        _all(stage, accepting)
        await stage.finish()


async def fill_by_itself(stage: Stage) -> None:
    """A disk that file and log have filled: a little room is enough, for the log has left some to the file."""
    folder = stage.forwarder.outbox.parent
    with small_disk(folder, kilobytes=4096) as disk:
        await stage.forwarder.start_ready()
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(LITTLE_ROOM))
        stage.inject("disk full of readings")
        await _fill(stage, "outbox.failed")
        taken = stage.forwarder.outbox.stat().st_size
        stage.notes.append(f"file {taken >> 10} KiB when the disk was full")
        ballast.unlink()
        await stage.forwarder.ready()
        stage.hit("disk full of readings")
        disk.remount("size=64m")
        _all(stage, accepting)
        await stage.finish()


async def _start_full_with_outbox(stage: Stage) -> None:
    """It refuses in a sentence; or it runs, says why it is not ready, and goes on by itself once there is room."""
    ballast = fill_up(stage.forwarder.outbox.parent)
    stage.inject("full disk, an outbox")
    if await _refuses(stage):
        stage.hit("full disk, an outbox")
        ballast.unlink()
        await stage.forwarder.start_ready()
        return
    await stage.devices.publish_and_wait(100, padding=PADDING)
    said = await stage.forwarder.readiness(lambda said: not said["ready"], what="a full disk")
    stage.notes.append(f"runs: {said['reasons']}")
    if "takes no writes" in " ".join(said["reasons"]):
        stage.hit("full disk, an outbox")
    ballast.unlink()
    await stage.forwarder.ready()


async def _refuses(stage: Stage) -> bool:
    """Whether it ends; then with 1 and one sentence."""
    before = len(stage.forwarder.complaints)
    await stage.forwarder.start()
    try:
        code = await stage.forwarder.ended(patience_seconds=REFUSAL_SECONDS)
    except Impatient:
        return False
    said = stage.forwarder.complaints[before:].strip()
    if code != 1 or said.count("\n") or not said.startswith("forwarder: the outbox "):
        raise AssertionError(f"exit {code}: {said}")
    stage.notes.append(f"refuses: {said}")
    return True


async def turn_read_only(stage: Stage) -> None:
    """The disk turns read-only under load, until it is mounted anew: it says why, and acknowledges nothing."""
    image = stage.folder / "disk.img"
    with Disk(stage.forwarder.outbox.parent, image=image, megabytes=64) as disk:
        await stage.forwarder.start_ready()
        async with stage.devices.flowing(per_second=RATE):
            await stage.until_taken(50)
            stage.inject("read-only under load")
            disk.abort()
            said = await stage.forwarder.readiness(lambda said: not said["ready"], what="a problem")
            stage.notes.append("; ".join(said["reasons"]))
            if "takes no writes" in " ".join(said["reasons"]):
                stage.hit("read-only under load")
            await stage.pause(2.0)
            await stage.forwarder.stop()
        disk.unmount()
        disk.mount()
        await stage.forwarder.start_ready()
        await stage.finish()


async def refuse_writes(stage: Stage) -> None:
    """For some seconds every write to the outbox is refused as on a read-only disk; then it goes on by itself."""
    strace = require("strace")
    await stage.subscribe_once()
    outbox = stage.forwarder.outbox
    log = outbox.with_name(outbox.name + "-wal")
    failing = ("-e", "trace=pwrite64", "-e", "inject=pwrite64:error=EROFS:when=60..65")
    quiet = ("-f", "-qq", "-o", "/dev/null", "-P", str(outbox), "-P", str(log))
    await stage.forwarder.start_ready(wrapped_in=(strace, *quiet, *failing))
    stage.inject("EROFS in a write")
    async with stage.devices.flowing(per_second=RATE):
        await stage.forwarder.logged("outbox.failed")
        said = await stage.forwarder.readiness(lambda said: not said["ready"], what="a problem")
        if "takes no writes" in " ".join(said["reasons"]):
            stage.hit("EROFS in a write")
        await stage.forwarder.logged("outbox.recovered")
        await stage.forwarder.ready()
        await _fail_some(stage)
    await stage.forwarder.kill()


async def _fail_some(stage: Stage) -> None:
    """Refused writes hold attempts back and fail none: the receiver does, until one is made again."""
    steady = stage.receivers["steady"]
    steady.policy = down
    await stage.until(lambda: steady.retries, what="a second attempt")
    steady.policy = accepting


async def _cut_power(stage: Stage, **environment: str) -> None:
    image = stage.folder / "disk.img"
    with Disk(stage.forwarder.outbox.parent, image=image, megabytes=64) as disk:
        await stage.forwarder.start_ready(**environment)
        _all(stage, down)
        for _ in range(stage.rounds(short=1, full=3)):
            async with stage.devices.flowing(per_second=RATE):
                await stage.pause(stage.dice.uniform(1.0, 2.5))
                stage.inject("power cut")
                left = disk.cut_power()
                await stage.forwarder.kill()
            disk.boot(left)
            stage.hit("power cut")
            await stage.forwarder.start_ready(**environment)
        _all(stage, accepting)
        await stage.finish()


async def cut_power(stage: Stage) -> None:
    """Only what had reached the device is there after the reboot."""
    await _cut_power(stage)


async def cut_power_without_fsync(stage: Stage) -> None:
    """Whatever the cut has made of the outbox, it goes on; a start that refuses would be no loss."""
    await _cut_power(stage, CHAOS_SYNCHRONOUS="OFF", FORWARDER_OUTBOX_REPAIR="true")


_scenario = partial(Scenario, may_tell=("outbox.nearly_full",), engines=("sqlite",))

SCENARIOS = (
    _scenario("full", "disk full, and full again at start", fill_disk, is_short=True),
    _scenario("limit", "OUTBOX_MAX_BYTES reached", reach_limit, engines=ENGINES),
    _scenario("fsync", "I/O errors in fsync", fail_fsync),
    _scenario("read-only", "a disk that is read-only at start", start_read_only),
    _scenario("full-start", "a disk that is full at start", start_full),
    _scenario("full-self", "a disk that the outbox itself has filled", fill_by_itself),
    _scenario("turned", "a disk that turns read-only under load", turn_read_only),
    _scenario("erofs", "writes refused as on a read-only disk, for seconds", refuse_writes),
    _scenario("power", "power cut", cut_power),
    _scenario(
        "no-fsync",
        "control: power cut with synchronous=OFF",
        cut_power_without_fsync,
        must_lose=True,
    ),
)
