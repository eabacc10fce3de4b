"""The wall clock steps, by an hour and by a day, either way."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from chaos.disk import NotPermitted
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
            await stage.until(partial(_is_seen, stage, offset), what=fault)
            stage.hit(fault)
    offset_file.write_text("+0\n")


def _is_seen(stage: Stage, offset: int) -> bool:
    """Whether the newest reading was received at a time that is so far off, or the service tells that the clock is."""
    received_at = datetime.fromisoformat(
        stage.receivers["steady"].posts[-1].readings[-1]["received_at"]
    )
    expected = datetime.now(UTC) + timedelta(seconds=offset)
    return abs(received_at - expected) < timedelta(minutes=5) or _is_told(stage, offset)


def _is_told(stage: Stage, offset: int) -> bool:
    """On a database, by whose clock replicas go, nothing else shows of it."""
    lines = stage.forwarder.log_lines()
    told = [line["seconds"] for line in lines if line["event"] == "clock.differs"]
    return bool(told) and abs(told[-1] - offset) < 300.0


SCENARIOS = (Scenario("clock", "clock steps of ±1 h and ±1 day", step_clock),)
