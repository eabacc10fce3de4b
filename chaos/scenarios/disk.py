"""The disk fills up, fails, or loses its power; or the outbox reaches the size that it may have."""

from chaos.disk import Disk, require, small_disk
from chaos.process import Impatient
from chaos.receiver import Mood, down, smooth
from chaos.scenarios.scenario import Scenario
from chaos.stage import Stage

RATE = 150.0
PADDING = "·" * 2000
"""Makes readings that fill a disk."""


def _all(stage: Stage, mood: Mood) -> None:
    for receiver in stage.receivers.values():
        receiver.mood = mood


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
        _all(stage, smooth)
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
        _all(stage, smooth)
        await stage.finish()


async def _cut_power(stage: Stage, **environment: str) -> None:
    image = stage.folder / "disk.img"
    with Disk(stage.forwarder.outbox.parent, image=image, megabytes=64) as disk:
        await stage.forwarder.start_ready(**environment)
        _all(stage, down)
        for _ in range(stage.rounds(short=1, full=3)):
            async with stage.devices.flowing(per_second=RATE):
                await stage.pause(stage.dice.uniform(1.0, 2.5))
                stage.inject("power cut")
                disk.cut_power()
                await stage.forwarder.kill()
            disk.unmount()
            disk.mount()
            stage.hit("power cut")
            await stage.forwarder.start_ready(**environment)
        _all(stage, smooth)
        await stage.finish()


async def cut_power(stage: Stage) -> None:
    """Only what had reached the device is there after the reboot."""
    await _cut_power(stage)


async def cut_power_without_fsync(stage: Stage) -> None:
    await _cut_power(stage, CHAOS_SYNCHRONOUS="OFF")


SCENARIOS = (
    Scenario("full", "disk full, and full again at start", fill_disk, is_short=True),
    Scenario("limit", "OUTBOX_MAX_BYTES reached", reach_limit),
    Scenario("fsync", "I/O errors in fsync", fail_fsync),
    Scenario("read-only", "a disk that is read-only at start", start_read_only),
    Scenario("power", "power cut", cut_power),
    Scenario(
        "no-fsync",
        "control: power cut with synchronous=OFF",
        cut_power_without_fsync,
        must_lose=True,
    ),
)
