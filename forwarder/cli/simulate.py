"""`forwarder simulate` publishes to the configured broker as whatwatt Go devices that are not there."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import click
from rich.console import Console

from forwarder.clock import SystemClock
from forwarder.demo.device import SimulatedDevice
from forwarder.demo.publisher import Publisher, topic_for
from forwarder.demo.shapes import Shape, from_template, payload_of
from forwarder.demo.simulator import Publication, simulate
from forwarder.errors import TemplateError
from forwarder.files import Unreadable, as_text, read_given
from forwarder.normalise.template import TEMPLATE_LIMIT
from forwarder.settings import Broker, load_settings
from forwarder.terminal import plain, plain_lines
from forwarder.units import count_of, format_duration, parse_duration

_ENDINGS = (signal.SIGINT, signal.SIGTERM)


def _interval(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    try:
        seconds = float(value) if value.replace(".", "", 1).isdecimal() else parse_duration(value)
    except ValueError as malformed:
        raise click.BadParameter(str(malformed)) from malformed
    if seconds <= 0:
        raise click.BadParameter("an interval is longer than nothing")
    return seconds


@click.command("simulate", short_help="Publish to the broker as simulated devices")
@click.option(
    "--devices",
    default=1,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="How many devices, each with a MAC of its own.",
)
@click.option(
    "--interval",
    default="30s",
    show_default=True,
    callback=_interval,
    help="How often each device publishes: seconds, or a duration as 500ms.",
)
@click.option(
    "--shape",
    default="report",
    show_default=True,
    type=click.Choice(get_args(Shape)),
    help="Payload shape.",
)
@click.option(
    "--template",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A payload template as given to whatwatt, instead of a shape.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many messages per device.")
@click.option("--show-payload", is_flag=True, help="Print the first payload too.")
def command(
    devices: int,
    interval: float,
    shape: Shape,
    template: Path | None,
    count: int | None,
    *,
    show_payload: bool,
) -> None:
    """Publish as simulated whatwatt Go devices to the broker of the FORWARDER_MQTT_… settings, until Ctrl-C."""
    settings = load_settings()
    payload = payload_of(shape) if template is None else from_template(_read(template))
    fleet = [SimulatedDevice(index, payload, zone=settings.timezone) for index in range(devices)]
    screen = _Screen(Console(highlight=False, soft_wrap=True), shows_payload=show_payload)
    asyncio.run(_run(settings.broker(), fleet, screen, interval_seconds=interval, rounds=count))


def _read(template: Path) -> str:
    try:
        return as_text(read_given(template, limit=TEMPLATE_LIMIT), template)
    except Unreadable as unreadable:
        raise TemplateError(f"--template: {unreadable}") from None


async def _run(
    broker: Broker,
    fleet: list[SimulatedDevice],
    screen: "_Screen",
    *,
    interval_seconds: float,
    rounds: int | None,
) -> None:
    async with Publisher(broker, on_state=screen.say) as publisher:
        screen.say(
            f"{count_of(len(fleet), 'simulated device')} at {broker.address}, "
            f"each every {format_duration(interval_seconds)}. Ctrl-C ends."
        )
        publications = simulate(
            fleet,
            topic_of=lambda device: topic_for(broker.topics[0], device),
            publish=publisher.publish,
            interval_seconds=interval_seconds,
            clock=SystemClock(),
            rounds=rounds,
        )
        await _show_until_told(publications, screen)
        await publisher.drain()
    screen.say(f"{count_of(screen.published, 'message')} published.")


class _Screen:
    """A line for each publication."""

    def __init__(self, console: Console, *, shows_payload: bool) -> None:
        self._console = console
        self._shows_payload = shows_payload
        self.published = 0

    def say(self, sentence: str) -> None:
        self._console.print(plain(sentence), markup=False)

    def show(self, publication: Publication) -> None:
        if self._shows_payload and not self.published:
            payload = plain_lines(publication.payload.decode())
            self._console.print(payload, markup=False, style="dim")
        self.published += 1
        self.say(_line(publication))


async def _show_until_told(publications: AsyncIterator[Publication], screen: _Screen) -> None:
    """Take publications until they end, or Ctrl-C or SIGTERM comes."""

    async def show() -> None:
        async for publication in publications:
            screen.show(publication)

    loop, showing = asyncio.get_running_loop(), asyncio.create_task(show())
    for ending in _ENDINGS:
        loop.add_signal_handler(ending, showing.cancel)
    with suppress(asyncio.CancelledError):
        await showing
    for ending in _ENDINGS:  # a second Ctrl-C does not wait for the broker
        loop.remove_signal_handler(ending)


def _line(publication: Publication) -> str:
    return (
        f"{publication.published_at.astimezone():%H:%M:%S}  {publication.topic}  "
        f"{publication.flow:<18}  {len(publication.payload):>5} bytes"
    )
