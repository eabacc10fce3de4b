"""Simulated whatwatt Go devices that publish in turn, spread over the interval."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from forwarder.clock import Clock
from forwarder.demo.device import SimulatedDevice
from forwarder.reading import Device


@dataclass(frozen=True, slots=True)
class Publication:
    """One message as a simulated device published it."""

    device: Device
    topic: str
    payload: bytes
    published_at: datetime
    flow: str
    """The flow at the meter, in words."""


async def simulate(
    devices: Sequence[SimulatedDevice],
    *,
    topic_of: Callable[[Device], str],
    publish: Callable[[str, bytes], None],
    interval_seconds: float,
    clock: Clock,
    rounds: int | None = None,
) -> AsyncIterator[Publication]:
    """
    Publish for each device once per interval, for ever or for `rounds` rounds, and yield the publications.

    The devices start one after the other, spread evenly over the interval, as real ones do that know nothing of each
    other. No burst makes up for a round that runs late.
    """
    gap_seconds = interval_seconds / len(devices)
    due = clock.monotonic()
    completed = 0
    while rounds is None or completed < rounds:
        for simulated in devices:
            await clock.sleep(max(due - clock.monotonic(), 0.0))
            is_late = clock.monotonic() - due > gap_seconds
            due = (clock.monotonic() if is_late else due) + gap_seconds
            now = clock.now()
            topic, payload = topic_of(simulated.device), simulated.report_at(now)
            publish(topic, payload)
            yield Publication(simulated.device, topic, payload, now, simulated.house.flow)
        completed += 1
