"""`forwarder quarantine`: messages that could not be understood."""

import base64
import json
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import get_args

import click

from forwarder.cli.groups import CommandGroup
from forwarder.cli.options import (
    all_option,
    as_json_option,
    ask_first,
    id_argument,
    ids_argument,
    most_listed,
    require_selection,
    selecting,
    yes_option,
)
from forwarder.cli.tables import (
    DEVICE,
    PROSE,
    STAYS,
    cell,
    console,
    number,
    print_json,
    print_json_list,
    print_listed,
    print_pairs,
    table,
)
from forwarder.normalise import load_normaliser
from forwarder.operator import (
    Change,
    Outcome,
    at_the_shell,
    audited,
    decoder,
    discard_quarantined,
    quarantined_id,
    quarantined_meant,
    quarantined_message,
    replay_quarantined,
)
from forwarder.operator.objects import instant, quarantined_object
from forwarder.operator.payload import hex_lines, printable
from forwarder.outbox import Chosen, OutboxAccess, Quarantined, Selection, opened
from forwarder.reading import QuarantineReason
from forwarder.routes import load_routes
from forwarder.settings import environment, load_settings
from forwarder.units import age, count_of

_selecting = selecting("device", "since", "until", "limit", reasons=get_args(QuarantineReason))
_OUTCOMES: dict[Outcome, str] = {
    "replayed": "replayed",
    "duplicate": "had come in before as well, and left the quarantine",
    "unrouted": "understood, but no endpoint wants the device: kept",
    "unreadable": "still not understood: kept with today's reason",
    "cut_off": "too large, only the first bytes were kept: cannot be replayed",
}


@click.group(
    "quarantine", cls=CommandGroup, short_help="What could not be understood: list, replay, discard"
)
def command() -> None:
    """List, show, replay, discard or export messages that could not be understood."""


@command.command("list", short_help="List them, in order of arrival")
@ids_argument
@_selecting
@all_option
@as_json_option
def list_(ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, as_json: bool) -> None:
    """List messages in quarantine, in order of arrival."""
    settings = load_settings()
    with opened(settings.outbox_place, is_read_only=True) as outbox:
        chosen = quarantined_meant(outbox, ids, selection, routes=settings.routes_file)
        if as_json:
            print_json_list(map(quarantined_object, _messages(outbox, chosen)))
        else:
            _print_table(outbox, chosen, most_listed(selection, all_of_them=all_of_them))


def _messages(outbox: OutboxAccess, chosen: Chosen[int]) -> Iterator[Quarantined]:
    for keys in chosen.chunks():
        for key in keys:
            # One at a time, because each may be a message of the largest size.
            yield from outbox.quarantined([key])


def _print_table(outbox: OutboxAccess, chosen: Chosen[int], most: int) -> None:
    rows = table(
        id=STAYS, device=DEVICE, reason=STAYS, came_in=number(leaves=2), size=number(leaves=1),
        what_was_wrong=PROSE,
    )  # fmt: skip
    now = time.time()
    for message, _ in zip(_messages(outbox, chosen), range(most), strict=False):
        rows.add_row(
            cell(message.id),
            cell(message.device),
            cell(message.reason),
            cell(f"{age(now - message.received_at)} ago"),
            cell(f"{message.size:,}"),
            cell(message.detail),
        )
    print_listed(
        rows, count=chosen.count, what="message in quarantine", plural="messages in quarantine"
    )


@command.command("show", short_help="Show one, with its bytes")
@id_argument
@click.option("--raw", is_flag=True, help="Only its bytes, exactly as they came.")
@as_json_option
def show(name: str, *, raw: bool, as_json: bool) -> None:
    """Show one message: its topic, what was wrong, and its bytes as text, or in hexadecimal where they are none."""
    with opened(load_settings().outbox_place, is_read_only=True) as outbox:
        message = quarantined_message(outbox, quarantined_id(name))
    if raw:
        sys.stdout.buffer.write(message.payload)
    elif as_json:
        print_json(_with_payload(message))
    else:
        _print_message(message)


def _with_payload(message: Quarantined) -> dict[str, object]:
    payload = base64.b64encode(message.payload).decode()
    return {**quarantined_object(message), "payload_base64": payload}


def _print_message(message: Quarantined) -> None:
    kept = f", of which the first {len(message.payload):,} were kept" if message.is_cut_off else ""
    print_pairs(
        [
            ("message", message.id),
            ("device", message.device),
            ("topic", message.topic),
            ("received", instant(message.received_at)),
            ("reason", message.reason),
            ("detail", message.detail),
            ("size", f"{count_of(message.size, 'byte')}{kept}"),
        ]
    )
    console().print("\nPayload", style="bold")
    text = printable(message.payload)
    click.echo("\n".join(hex_lines(message.payload)) if text is None else text)


@command.command("replay", short_help="Read them again with today's settings and routes")
@ids_argument
@_selecting
@all_option
@as_json_option
def replay(ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, as_json: bool) -> None:
    """Read messages again with today's settings and routes; what is understood now is delivered."""
    require_selection(ids, selection, all_of_them=all_of_them, what="messages")
    settings = load_settings()
    routes = load_routes(
        settings.routes_file, environ=environment(), secrets_dir=settings.secrets_dir
    )
    decode = decoder(load_normaliser(settings), routes)
    with opened(settings.outbox_place) as outbox:
        chosen = quarantined_meant(outbox, ids, selection, routes=settings.routes_file)
        with _audited(outbox, "replay_quarantined", chosen) as change:
            outcomes = replay_quarantined(outbox, chosen, decode=decode, now=outbox.now())
            change.count = outcomes["replayed"]
    if as_json:
        click.echo(json.dumps({outcome: outcomes[outcome] for outcome in _OUTCOMES}))
        return
    for outcome, meaning in _OUTCOMES.items():
        if outcomes[outcome] or outcome == "replayed":
            click.echo(f"{count_of(outcomes[outcome], 'message')} {meaning}")


def _audited(
    outbox: OutboxAccess, what: str, chosen: Chosen[int]
) -> AbstractContextManager[Change]:
    return audited(outbox, at_the_shell(), what, meant=chosen.count, now=outbox.now())


@command.command("discard", short_help="Erase them for good")
@ids_argument
@_selecting
@all_option
@yes_option
@as_json_option
def discard(
    ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, yes: bool, as_json: bool
) -> None:
    """Erase messages for good; it asks before it erases --all."""
    require_selection(ids, selection, all_of_them=all_of_them, what="messages")
    settings = load_settings()
    with opened(settings.outbox_place) as outbox:
        chosen = quarantined_meant(outbox, ids, selection, routes=settings.routes_file)
        if all_of_them:
            ask_first(f"Discard {count_of(chosen.count, 'message')} for good?", yes=yes)
        with _audited(outbox, "discard_quarantined", chosen) as change:
            erased = change.count = discard_quarantined(outbox, chosen)
    click.echo(
        json.dumps({"discarded": erased}) if as_json else f"{count_of(erased, 'message')} discarded"
    )


@command.command("export", short_help="Write them out, one JSON object a line")
@ids_argument
@_selecting
@all_option
def export(ids: tuple[str, ...], selection: Selection, *, all_of_them: bool) -> None:  # noqa: ARG001 - all is what it does anyway
    """Write messages with their exact bytes in base64 to standard output, one JSON object a line."""
    settings = load_settings()
    with opened(settings.outbox_place, is_read_only=True) as outbox:
        for message in _messages(
            outbox, quarantined_meant(outbox, ids, selection, routes=settings.routes_file)
        ):
            click.echo(json.dumps(_with_payload(message)))
