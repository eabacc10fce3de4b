from support.clock import HandClock

from forwarder.demo.device import SimulatedDevice
from forwarder.demo.publisher import topic_for
from forwarder.demo.shapes import payload_of
from forwarder.demo.simulator import Publication, simulate


class SleepingClock(HandClock):
    """A hand-set clock on which a sleep simply lets the time pass."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


async def publish_rounds(clock: HandClock, *, rounds: int) -> list[Publication]:
    fleet = [SimulatedDevice(index, payload_of("small")) for index in range(4)]
    return [
        publication
        async for publication in simulate(
            fleet,
            topic_of=lambda device: topic_for("ext/demoville/#", device),
            publish=lambda _topic, _payload: None,
            interval_seconds=20,
            clock=clock,
            rounds=rounds,
        )
    ]


async def test_devices_are_spread_over_the_interval() -> None:
    """Four devices every 20 s publish 5 s apart, in turn."""
    clock = SleepingClock()
    published = await publish_rounds(clock, rounds=2)
    offsets = [(one.published_at - clock.started_at).total_seconds() for one in published]
    assert offsets == [0, 5, 10, 15, 20, 25, 30, 35]
    assert [one.device for one in published[:4]] == [one.device for one in published[4:]]


async def test_late_round_is_not_made_up_for() -> None:
    """After the machine slept for a minute, publishing goes on at its pace, without a burst."""
    clock = SleepingClock()
    fleet = [SimulatedDevice(0, payload_of("small"))]
    offsets: list[float] = []
    async for _ in simulate(
        fleet,
        topic_of=lambda device: topic_for("ext/demoville/#", device),
        publish=lambda _topic, _payload: None,
        interval_seconds=10,
        clock=clock,
        rounds=4,
    ):
        offsets.append(clock.elapsed)
        clock.advance(60 if len(offsets) == 2 else 0)
    assert offsets == [0, 10, 70, 80]
