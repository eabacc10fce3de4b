"""`forwarder routes` shows who gets which devices and why, and what an edit changes."""

import json
from pathlib import Path

import click

from forwarder.cli.grid import Grid
from forwarder.cli.groups import CommandGroup
from forwarder.cli.names import device_names
from forwarder.cli.tables import NAME, PROSE, STAYS, cell, console, table
from forwarder.errors import ConfigurationError, RoutesError
from forwarder.files import Unreadable, read_given
from forwarder.operator import look_at_routes, not_a_device
from forwarder.operator.objects import routes_object, routes_of_device_object
from forwarder.reading import Device, parse_mac
from forwarder.routes import EndpointName, Routes, Selection, diff
from forwarder.routes.diff import RoutesDiff
from forwarder.routes.files import ROUTES_LIMIT
from forwarder.settings import load_settings
from forwarder.terminal import plain

_SHOWN_DEVICES = 5

as_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group(
    "routes", cls=CommandGroup, short_help="Show who gets which devices, and what an edit changes"
)
def command() -> None:
    """Look into the routing file."""


@command.command("show", short_help="Show who gets which devices, and why")
@click.argument("device", required=False, shell_complete=device_names)
@as_json_option
def show(device: str | None, *, as_json: bool) -> None:
    """Show which endpoints get which devices; with DEVICE (a MAC), who gets that one, and why."""
    routes = _routes(load_settings().routes_file)
    mac = _mac(device, routes) if device else None
    if as_json:
        click.echo(
            json.dumps(routes_of_device_object(routes, mac) if mac else routes_object(routes))
        )
    elif mac:
        click.echo("\n".join(map(plain, one_device_lines(routes, mac))))
    else:
        console().print(everyone_table(routes))


@command.command("diff", short_help="Show what an edit changes")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", required=False, type=click.Path(path_type=Path))
@as_json_option
def diff_command(old: Path, new: Path | None, *, as_json: bool) -> None:
    """Show what changes from the routing file OLD to NEW (default: the one in use)."""
    before = _given_routes(old)
    if new is None:
        new = load_settings().routes_file
        difference = diff(before, _routes(new))
    else:
        difference = diff(before, _given_routes(new))
    if as_json:
        click.echo(json.dumps(difference.to_json()))
    else:
        click.echo("\n".join(map(plain, diff_lines(difference, old, new))))


def diff_lines(difference: RoutesDiff, old: Path, new: Path) -> list[str]:
    """The changes, under a line that tells their direction."""
    changes = difference.lines()
    way = f"from {old} to {new}"
    return [f"{way}:", *changes] if changes else [f"nothing changes {way}"]


def everyone_table(routes: Routes) -> Grid:
    """Every endpoint with the devices that it asks for, for people."""
    rows = table(endpoint=NAME, gets=PROSE, because_of=PROSE, state=STAYS)
    for name, endpoint in routes.endpoints.items():
        state = "paused" if endpoint.paused else ""
        rows.add_row(
            cell(name), cell(_gets(routes, name)), cell(_because(routes, name)), cell(state)
        )
    return rows


def one_device_lines(routes: Routes, device: Device) -> list[str]:
    """The endpoints that get this device, and why, for people."""
    names = routes.match(device)
    if not names:
        return [f"nobody gets {device}{_lost_groups(routes, device)}"]
    return [f"{name} gets {device}: {', '.join(routes.reasons(device, name))}" for name in names]


def _mac(text: str, routes: Routes) -> Device:
    device = parse_mac(text)
    if device is None:
        raise ConfigurationError(not_a_device(text, routes))
    return device


def _routes(path: Path) -> Routes:
    """The routes. No variable has to be set for them, because devices do not depend on secrets."""
    return look_at_routes(path).require()


def _given_routes(path: Path) -> Routes:
    """The routes of a file that was named on the command line."""
    try:
        content = read_given(path, limit=ROUTES_LIMIT)
    except Unreadable as unreadable:
        raise RoutesError((str(unreadable),)) from None
    return look_at_routes(path, content=content).require()


def _gets(routes: Routes, name: EndpointName) -> str:
    if routes.selections.get(name, Selection()).wants_every_device:
        return "every device"
    if (events := routes.endpoints[name].events) is not None:
        return f"notices about the service: {', '.join(events)}"
    devices = sorted(routes.devices_of(name))
    if not devices:
        return "nothing"
    more = f" and {len(devices) - _SHOWN_DEVICES} more" if len(devices) > _SHOWN_DEVICES else ""
    return ", ".join(devices[:_SHOWN_DEVICES]) + more


def _because(routes: Routes, name: EndpointName) -> str:
    selection = routes.selections.get(name, Selection())
    every = ['devices: "*"'] if selection.wants_every_device else []
    own = ["its own list"] if selection.devices else []
    groups = [f"group {group} ({len(routes.groups[group])})" for group in selection.groups]
    return ", ".join([*every, *own, *groups])


def _lost_groups(routes: Routes, device: Device) -> str:
    holding = [name for name, devices in routes.groups.items() if device in devices]
    return (
        f", although it is in group {', '.join(holding)}, which no endpoint names"
        if holding
        else ""
    )
