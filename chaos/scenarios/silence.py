"""Devices fall silent and report again, with kill -9 and the broker away in between: exactly these are told."""

from chaos.scenarios.scenario import Scenario
from chaos.stage import Stage

RATE = 20.0
FEW, MANY = 5, 30
SINGLY = 20
"""Of many, so many are told by name."""
INTERRUPTED_SECONDS = 60.0
AWAY_SECONDS = 5.0
"""The broker, so that every device seems silent for that long."""
REPEATED_SECONDS = 3.0
"""What a new process told a second time, it would within these."""


class Fleet(Stage):
    """More devices than are told singly, which are silent after the shortest time that may be asked for."""

    device_count = 40
    silent_after = "90s"


async def fall_silent(stage: Stage) -> None:
    await stage.forwarder.start_ready()
    async with stage.devices.flowing(per_second=RATE):
        await stage.until_taken(2 * stage.oracle.size)
        await _silence(stage, MANY)
        if stage.rounds(short=0, full=1):
            await _silence(stage, FEW, is_interrupted=True)
        # Once the flow has ended, all of them would be.
        stage.silent_after = "off"
        stage.write_routes()
        await stage.forwarder.logged("routes.reloaded")


async def _silence(stage: Stage, count: int, *, is_interrupted: bool = False) -> None:
    operator = stage.operator
    told, resumed = operator.silences, operator.count("device.resumed")
    singly = operator.count("device.silent")
    stage.inject("devices silent")
    stage.oracle.quiet |= {*stage.dice.sample(stage.oracle.devices, count)}
    stage.silences.update(stage.oracle.quiet)
    await stage.pause(stage.dice.uniform(5.0, 30.0))
    await _kill(stage)
    await stage.pause(stage.dice.uniform(5.0, 30.0))
    await _take_broker_away(stage, is_interrupted=is_interrupted)
    await stage.until_told("device.silent", singly + 1)
    await _kill(stage)
    await stage.until_told("device.silent", singly + min(count, SINGLY))
    await stage.until(lambda: operator.silences >= told + count, what=f"{count} silences")
    await _kill(stage)
    await stage.pause(REPEATED_SECONDS)
    stage.oracle.quiet.clear()
    await stage.until_told("device.resumed", resumed + 1)
    await _kill(stage)
    await stage.until_told("device.resumed", operator.count("device.silent"))
    stage.hit("devices silent")


async def _take_broker_away(stage: Stage, *, is_interrupted: bool) -> None:
    stage.inject("broker away")
    await stage.broker_link.cut()
    if is_interrupted:
        stage.interruptions += 1
        await stage.until_told("stream.interrupted", stage.interruptions)
    await stage.pause(AWAY_SECONDS)
    await stage.broker_link.heal()
    await stage.forwarder.ready()
    stage.hit("broker away")


async def _kill(stage: Stage) -> None:
    await stage.forwarder.kill()
    stage.struck("kill -9 while devices are silent")
    await stage.forwarder.start_ready()


SCENARIOS = (
    Scenario(
        "silence",
        "devices fall silent, with kill -9 and the broker away: what the operator is told",
        fall_silent,
        stage=Fleet,
    ),
)
