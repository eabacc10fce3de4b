"""`forwarder purge` erases every trace of one device."""

import os

import click

from forwarder.cli.names import device_names
from forwarder.cli.options import ask_first, yes_option
from forwarder.errors import OperationError
from forwarder.operator import at_the_shell, audited, look_at_routes, parse_device
from forwarder.outbox import Purged, copies_aside, opened
from forwarder.reading import Device
from forwarder.settings import Settings, load_settings
from forwarder.terminal import plain
from forwarder.units import count_of


@click.command("purge", short_help="Erase every trace of one device")
@click.option(
    "--device",
    "device_text",
    metavar="MAC",
    required=True,
    shell_complete=device_names,
    help="In any spelling.",
)
@yes_option
def command(device_text: str, *, yes: bool) -> None:
    """
    Erase every trace of one device: its deliveries, dead letters, quarantined messages and their bytes in the file.

    The file is written anew, which needs as much room again for a moment; a running service waits meanwhile.
    """
    settings = load_settings()
    device = parse_device(device_text)
    with opened(settings.outbox_place) as outbox:
        ask_first(f"Erase every trace of {plain(device)} for good?", yes=yes)
        with audited(outbox, at_the_shell(), "purge", meant=1, now=outbox.now()):
            purged = outbox.purge(device)
    _report(purged, device)
    _warn(settings, device)
    if not purged.is_rewritten:
        raise OperationError(
            f"the file {settings.outbox_place} could not be written anew, so bytes of {plain(device)} may be left in"
            " it: make room on the disk for a copy of it, and run this again"
        )


def _report(purged: Purged, device: Device) -> None:
    pending = (
        f" ({purged.pending:,} of them pending, now counted as dead)" if purged.pending else ""
    )
    deliveries = count_of(purged.deliveries, "delivery", "deliveries")
    messages = count_of(purged.quarantined, "message in quarantine", "messages in quarantine")
    click.echo(f"{plain(device)}: erased {deliveries}{pending} and {messages}")


def _warn(settings: Settings, device: Device) -> None:
    routes = look_at_routes(settings.routes_file).routes
    wanting = routes.match(device) if routes is not None else ()
    if wanting:
        click.echo(
            f"{settings.routes_file} still sends this device to {', '.join(wanting)}: what it reports from now on is"
            " kept again"
        )
    for copy in copies_aside(settings.outbox_place):
        click.echo(f"not looked into: {os.fspath(copy)}, a damaged outbox that was moved aside")
