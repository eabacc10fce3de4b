"""`forwarder endpoints` pauses an endpoint, lets it go on, and makes links for its people."""

import time

import click

from forwarder.cli.groups import CommandGroup
from forwarder.cli.names import endpoint_names
from forwarder.cli.options import as_json_option
from forwarder.cli.tables import (
    LEAVES_LAST,
    NAME,
    STAYS,
    cell,
    print_json,
    print_json_list,
    print_listed,
    table,
)
from forwarder.errors import ConfigurationError
from forwarder.operator import (
    at_the_shell,
    known_endpoints,
    look_at_routes,
    pause,
    require_endpoint,
    resume,
    revoke_share,
    share_endpoint,
    shares_in_force,
)
from forwarder.operator.objects import share_object
from forwarder.outbox import opened
from forwarder.settings import load_settings
from forwarder.units import age, format_duration, parse_duration, time_left


@click.group("endpoints", cls=CommandGroup, short_help="Pause endpoints, and share them")
def command() -> None:
    """Pause and resume endpoints, and make links for their people; a running service notices within a second."""


@command.command("pause", short_help="Send nothing more to an endpoint")
@click.argument("name", metavar="NAME", shell_complete=endpoint_names)
def pause_command(name: str) -> None:
    """Send nothing more to NAME; its readings are kept until their max_age."""
    settings = load_settings()
    routes = look_at_routes(settings.routes_file).routes
    with opened(settings.outbox_place) as outbox:
        require_endpoint(name, known_endpoints(outbox, routes), routes)
        changed = pause(outbox, name, actor=at_the_shell(), now=outbox.now())
    click.echo(f"{name} is paused" if changed else f"{name} was paused already")


@command.command("resume", short_help="Let an endpoint go on, also after a 410")
@click.argument("name", metavar="NAME", shell_complete=endpoint_names)
def resume_command(name: str) -> None:
    """Let NAME go on, also after it answered 410."""
    settings = load_settings()
    routes = look_at_routes(settings.routes_file).routes
    with opened(settings.outbox_place) as outbox:
        require_endpoint(name, known_endpoints(outbox, routes), routes)
        changed = resume(outbox, name, actor=at_the_shell(), now=outbox.now())
    in_routes = (
        {} if routes is None else {str(one.name): one.paused for one in routes.endpoints.values()}
    )
    if in_routes.get(name):
        click.echo(f"{name} stays paused: {settings.routes_file} says paused: true; take that out")
    else:
        click.echo(f"{name} goes on" if changed else f"{name} was not paused")


@command.command("share", short_help="Make a link that shows an endpoint to its people")
@click.argument("name", metavar="NAME", shell_complete=endpoint_names)
@click.option(
    "--for",
    "duration",
    default="7d",
    show_default=True,
    metavar="DURATION",
    help="How long it works, 366d at most.",
)
@as_json_option
def share_command(name: str, duration: str, *, as_json: bool) -> None:
    """
    Make a link that shows what NAME was sent, read-only, to whoever has it.

    The link is told once: the outbox keeps no more than what recognises it.
    """
    settings, seconds = load_settings(), _seconds(duration)
    routes = look_at_routes(settings.routes_file).routes
    with opened(settings.outbox_place) as outbox:
        require_endpoint(name, known_endpoints(outbox, routes), routes)
        made = share_endpoint(outbox, name, seconds=seconds, actor=at_the_shell(), now=outbox.now())
    url = made.url(settings.page_url)
    if as_json:
        print_json({**share_object(made.share), "url": url})
        return
    click.echo(url)
    click.echo(
        f"shows {name} for {format_duration(seconds)}; forwarder endpoints unshare {made.share.id} ends it",
        err=True,
    )
    if settings.public_url is None:
        click.echo("FORWARDER_PUBLIC_URL is not set: others may reach it elsewhere", err=True)


def _seconds(duration: str) -> float:
    try:
        return parse_duration(duration)
    except ValueError as wrong:
        raise ConfigurationError(f"--for: {wrong}") from None


@command.command("shares", short_help="List the links that work")
@as_json_option
def shares_command(*, as_json: bool) -> None:
    """List the links that show an endpoint to its people, without what opens them."""
    now = time.time()
    with opened(load_settings().outbox_place, is_read_only=True) as outbox:
        shares = shares_in_force(outbox, now=now)
    if as_json:
        print_json_list(map(share_object, shares))
        return
    rows = table(id=STAYS, endpoint=NAME, made=LEAVES_LAST, works_for=STAYS)
    for share in shares:
        made, left = f"{age(now - share.created_at)} ago", time_left(share.expires_at - now)
        rows.add_row(cell(share.id), cell(share.endpoint), cell(made), cell(left))
    print_listed(rows, count=len(shares), what="link")


@command.command("unshare", short_help="End a link at once")
@click.argument("identity", metavar="ID")
def unshare_command(identity: str) -> None:
    """End the link of that ID, which `endpoints shares` lists."""
    with opened(load_settings().outbox_place) as outbox:
        share = revoke_share(outbox, identity, actor=at_the_shell(), now=outbox.now())
    click.echo(f"the link to {share.endpoint} works no more")
