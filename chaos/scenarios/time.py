"""The wall clock steps, by an hour and by a day, either way."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from chaos.disk import NotPermitted
from chaos.receiver import Receiver
from chaos.scenarios.scenario import Scenario
from chaos.stage import Stage

RATE = 30.0
"""Each look at the clock reads a file, which makes the forwarder slow."""
HOUR, DAY = 3600, 86400
STEPS = (HOUR, -HOUR, DAY, -DAY)


def _library() -> Path:
    found = next(Path("/usr/lib").glob("**/libfaketime.so.1"), None)
    if found is None:
        raise NotPermitted("libfaketime is not installed (Debian: apt-get install faketime)")
    return found


def faked_clock(**how: str) -> dict[str, str]:
    """The environment of a process whose wall clock is off, by `FAKETIME` seconds or as a file says."""
    return {"LD_PRELOAD": str(_library()), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **how}


async def step_clock(stage: Stage) -> None:
    """Each step comes while readings flow and some wait for their retry."""
    stage.clocks_step = True
    offset_file = stage.folder / "offset"
    offset_file.write_text("+0\n")
    environment = faked_clock(FAKETIME_TIMESTAMP_FILE=str(offset_file), FAKETIME_NO_CACHE="1")
    await stage.forwarder.start_ready(**environment)
    async with stage.devices.flowing(per_second=RATE):
        for offset in STEPS:
            fault = f"clock {offset:+d} s"
            stage.inject(fault)
            for receiver in (*stage.receivers.values(), stage.operator):
                receiver.clock_offsets.add(float(offset))
            offset_file.write_text(f"{offset:+d}\n")
            await stage.pause(1.0)
            await stage.until_taken(len(stage.receivers["steady"].accepted) + 50)
            # What arrives first may have been received before the step.
            await stage.until(partial(_is_seen, stage.receivers["steady"], offset), what=fault)
            stage.hit(fault)
    offset_file.write_text("+0\n")


def _is_seen(receiver: Receiver, offset: int) -> bool:
    """Whether the newest reading was received at a time that is so far off."""
    received_at = datetime.fromisoformat(receiver.posts[-1].readings[-1]["received_at"])
    expected = datetime.now(UTC) + timedelta(seconds=offset)
    return abs(received_at - expected) < timedelta(minutes=5)


SCENARIOS = (Scenario("clock", "clock steps of ±1 h and ±1 day", step_clock),)
