"""`forwarder endpoints`: pause an endpoint, and let it go on."""

import click

from forwarder.cli.groups import CommandGroup
from forwarder.cli.names import endpoint_names
from forwarder.operator import known_endpoints, look_at_routes, require_endpoint
from forwarder.outbox import Pause, Resume, opened
from forwarder.settings import load_settings


@click.group("endpoints", cls=CommandGroup, short_help="Pause endpoints, and let them go on")
def command() -> None:
    """Pause and resume endpoints; a running service notices within a second, and a restart keeps it."""


@command.command("pause", short_help="Send nothing more to an endpoint")
@click.argument("name", metavar="NAME", shell_complete=endpoint_names)
def pause_command(name: str) -> None:
    """Send nothing more to NAME; its readings are kept until their max_age."""
    settings = load_settings()
    routes = look_at_routes(settings.routes_file).routes
    with opened(settings.outbox_place) as outbox:
        require_endpoint(name, known_endpoints(outbox, routes), routes)
        (changed,) = outbox.operate(Pause(name))
    click.echo(f"{name} is paused" if changed else f"{name} was paused already")


@command.command("resume", short_help="Let an endpoint go on, also after a 410")
@click.argument("name", metavar="NAME", shell_complete=endpoint_names)
def resume_command(name: str) -> None:
    """Let NAME go on, also after it answered 410."""
    settings = load_settings()
    routes = look_at_routes(settings.routes_file).routes
    with opened(settings.outbox_place) as outbox:
        require_endpoint(name, known_endpoints(outbox, routes), routes)
        (changed,) = outbox.operate(Resume(name))
    in_routes = (
        {} if routes is None else {str(one.name): one.paused for one in routes.endpoints.values()}
    )
    if in_routes.get(name):
        click.echo(f"{name} stays paused: {settings.routes_file} says paused: true; take that out")
    else:
        click.echo(f"{name} goes on" if changed else f"{name} was not paused")
