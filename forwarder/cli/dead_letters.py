"""`forwarder dead-letters`: deliveries that failed for good and wait for an operator."""

import json
import time
from contextlib import AbstractContextManager
from typing import get_args

import click

from forwarder.cli import delivery_view
from forwarder.cli.delivery_view import records_of, result_of
from forwarder.cli.groups import CommandGroup
from forwarder.cli.names import endpoint_names
from forwarder.cli.options import (
    all_option,
    as_json_option,
    ask_first,
    id_argument,
    ids_argument,
    most_listed,
    require_selection,
    selecting,
    which_endpoint_option,
    yes_option,
)
from forwarder.cli.tables import (
    DEVICE,
    LEAVES_LAST,
    NAME,
    STAYS,
    cell,
    leaves,
    number,
    print_json_list,
    print_listed,
    table,
)
from forwarder.delivery import DeadReason
from forwarder.operator import (
    Change,
    Replayed,
    at_the_shell,
    audited,
    dead_letters_meant,
    discard,
    known_endpoints,
    look_at_routes,
    name_dead_letters,
    replay,
    replay_to,
    require_endpoint,
    require_routed,
    require_same_kind,
)
from forwarder.operator.objects import dead_letter_object, with_raw
from forwarder.outbox import Chosen, DeliveryId, OutboxAccess, Selection, opened
from forwarder.settings import load_settings
from forwarder.units import age, count_of

_selecting = selecting(
    "endpoint", "device", "since", "until", "limit", reasons=get_args(DeadReason)
)


@click.group(
    "dead-letters",
    cls=CommandGroup,
    short_help="What could not be delivered: list, replay, discard",
)
def command() -> None:
    """List, show, replay, discard or export readings that could not be delivered."""


@command.command("list", short_help="List them, those that died first in front")
@ids_argument
@_selecting
@all_option
@as_json_option
def list_(ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, as_json: bool) -> None:
    """List dead letters, those that died first in front."""
    settings = load_settings()
    with opened(settings.outbox_place, is_read_only=True) as outbox:
        chosen = dead_letters_meant(outbox, ids, selection, routes=settings.routes_file)
        if as_json:
            print_json_list(map(dead_letter_object, records_of(outbox, chosen)))
        else:
            _print_table(outbox, chosen, most_listed(selection, all_of_them=all_of_them))


def _print_table(outbox: OutboxAccess, chosen: Chosen[DeliveryId], most: int) -> None:
    rows = table(
        id=STAYS, endpoint=NAME, device=DEVICE, reason=LEAVES_LAST,
        attempts=number(leaves=1), last_answer=leaves(3), died=number(leaves=2),
    )  # fmt: skip
    now = time.time()
    for record, _ in zip(records_of(outbox, chosen), range(most), strict=False):
        rows.add_row(
            cell(record.webhook_id),
            cell(record.endpoint),
            cell(record.device),
            cell(record.reason),
            cell(record.attempts),
            cell(result_of(record)),
            cell(f"{age(now - (record.settled_at or now))} ago"),
        )
    print_listed(rows, count=chosen.count, what="dead letter")


@command.command("show", short_help="Show one, with its reading and each attempt")
@id_argument
@which_endpoint_option
@as_json_option
def show(name: str, endpoint: str | None, *, as_json: bool) -> None:
    """Show one dead letter: its reading, and each attempt with what was answered; at every endpoint where it died."""
    with opened(load_settings().outbox_place, is_read_only=True) as outbox:
        keys = name_dead_letters(outbox, [name])
        deliveries = delivery_view.of_one_reading(outbox, keys, endpoint=endpoint)
    delivery_view.show(deliveries, as_json=as_json)


@command.command("replay", short_help="Try them again, here or at another endpoint")
@ids_argument
@_selecting
@all_option
@click.option(
    "--to",
    "to",
    metavar="NAME",
    shell_complete=endpoint_names,
    help="Send them to this endpoint instead.",
)
@as_json_option
def replay_command(
    ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, to: str | None, as_json: bool
) -> None:
    """Try dead letters again, with new attempts and a new max_age; each goes to the head of its device's lane."""
    require_selection(ids, selection, all_of_them=all_of_them, what="dead letters")
    settings = load_settings()
    routes = look_at_routes(settings.routes_file).routes
    with opened(settings.outbox_place) as outbox:
        if to is not None:
            known = list(map(str, routes.endpoints)) if routes else known_endpoints(outbox, None)
            require_endpoint(to, known, routes)
        chosen = dead_letters_meant(outbox, ids, selection, routes=settings.routes_file)
        require_same_kind(outbox.endpoints_of(chosen), to)
        if to is None:
            require_routed(outbox.endpoints_of(chosen), routes)
        with _audited(outbox, "replay", chosen, to or selection.endpoint) as change:
            if to is None:
                outcome = replay(outbox, chosen, now=outbox.now())
            else:
                outcome = replay_to(outbox, chosen, endpoint=to, now=outbox.now())
            change.count = outcome.replayed
        whose = outbox.endpoints_of(chosen)
    _report(outcome, whose, to, as_json=as_json)


def _audited(
    outbox: OutboxAccess, what: str, chosen: Chosen[DeliveryId], endpoint: str | None
) -> AbstractContextManager[Change]:
    return audited(
        outbox, at_the_shell(), what, meant=chosen.count, endpoint=endpoint, now=outbox.now()
    )


def _report(outcome: Replayed, whose: list[str], to: str | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps({"replayed": outcome.replayed, "already_there": outcome.already_there})
        )
        return
    where = f" to {to}" if to else ""
    click.echo(f"{count_of(outcome.replayed, 'dead letter')} replayed{where}{_of(whose)}")
    if outcome.already_there:
        click.echo(
            f"{outcome.already_there} not sent: {to} has them already; they stay dead letters"
        )


def _of(endpoints: list[str]) -> str:
    """The endpoints in words if there are several, because one id means all dead letters of a reading."""
    return f" ({', '.join(endpoints)})" if len(endpoints) > 1 else ""


@command.command("discard", short_help="Erase them for good")
@ids_argument
@_selecting
@all_option
@yes_option
@as_json_option
def discard_command(
    ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, yes: bool, as_json: bool
) -> None:
    """Erase dead letters for good; they stay counted as dead. It asks before it erases --all."""
    require_selection(ids, selection, all_of_them=all_of_them, what="dead letters")
    settings = load_settings()
    with opened(settings.outbox_place) as outbox:
        chosen = dead_letters_meant(outbox, ids, selection, routes=settings.routes_file)
        if all_of_them:
            ask_first(f"Discard {count_of(chosen.count, 'dead letter')} for good?", yes=yes)
        whose = outbox.endpoints_of(chosen)
        with _audited(outbox, "discard", chosen, selection.endpoint) as change:
            erased = change.count = discard(outbox, chosen)
    click.echo(
        json.dumps({"discarded": erased})
        if as_json
        else f"{count_of(erased, 'dead letter')} discarded{_of(whose)}"
    )


@command.command("export", short_help="Write them out, one JSON object a line")
@ids_argument
@_selecting
@all_option
def export(ids: tuple[str, ...], selection: Selection, *, all_of_them: bool) -> None:  # noqa: ARG001 - all is what it does anyway
    """Write dead letters with their event data to standard output, one JSON object a line."""
    settings = load_settings()
    with opened(settings.outbox_place, is_read_only=True) as outbox:
        for keys in dead_letters_meant(
            outbox, ids, selection, routes=settings.routes_file
        ).chunks():
            for record, data in outbox.records_with_data(keys):
                click.echo(with_raw(dead_letter_object(record), "data", data))
