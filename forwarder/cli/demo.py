"""`forwarder demo`: the whole line on this machine, with no set-up."""

import asyncio
import signal
import sys

import click
from rich.console import Console

from forwarder.demo.screen import screen
from forwarder.errors import OperationError

MISSING_EXTRA = (
    "this needs a broker that a deployment does not: in a checkout run `make demo`, or install it with the extra:"
    " uv tool install '.[demo]'"
)


@click.command("demo", short_help="Show the whole line at work on this machine")
@click.option(
    "--seconds",
    default=20.0,
    show_default=True,
    type=click.FloatRange(8, 3600),
    help="How long the devices publish.",
)
@click.option(
    "--devices",
    default=6,
    show_default=True,
    type=click.IntRange(2, 500),
    help="Simulated whatwatt Go devices.",
)
def command(seconds: float, devices: int) -> None:
    """
    Show the whole line on this machine: broker, devices, forwarder, receivers that verify.

    A receiver fails for a while, one reading becomes a dead letter and is replayed. Exit code 0 when every
    published reading arrived verified and in order.
    """
    try:
        with screen(highlight=False) as console:
            console.print("Starting a broker, three receivers and the forwarder on this machine.")
            is_good = asyncio.run(_perform(console, seconds=seconds, devices=devices))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)
    sys.exit(0 if is_good else 1)


async def _perform(console: Console, *, seconds: float, devices: int) -> bool:
    try:
        from forwarder.demo.stage import perform
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "amqtt":
            raise
        raise OperationError(MISSING_EXTRA) from missing
    task = asyncio.current_task()
    if task is not None:
        # SIGTERM and a closed terminal take everything down as Ctrl-C does.
        for ending in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(ending, task.cancel)
    return await perform(console, seconds=seconds, device_count=devices)
