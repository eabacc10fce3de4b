"""`forwarder dead-letters`: what could not be delivered and waits for an operator."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import click

from forwarder.cli import delivery_view
from forwarder.cli.delivery_view import result_of
from forwarder.cli.options import (
    all_option,
    as_json_option,
    most_listed,
    require_selection,
    selecting,
)
from forwarder.cli.tables import (
    YIELDING,
    age,
    cell,
    count_of,
    instant,
    print_json_list,
    print_listed,
    table,
    with_raw,
)
from forwarder.delivery import DeadReason
from forwarder.errors import ConfigurationError, OperationError
from forwarder.operator import (
    Replayed,
    choose_dead_letters,
    delivery_file,
    discard,
    known_endpoints,
    look_at_routes,
    parse_delivery_id,
    replay,
    replay_to,
    require_endpoint,
)
from forwarder.outbox import (
    Chosen,
    DeliveryId,
    DeliveryRecord,
    OutboxAccess,
    Selection,
    opened,
)
from forwarder.routes import Routes
from forwarder.settings import Settings, load_settings

_selecting = selecting(
    "endpoint", "device", "since", "until", "limit", reasons=get_args(DeadReason)
)
_ids = click.argument("ids", metavar="[ID]...", nargs=-1)


@click.group("dead-letters")
def command() -> None:
    """List, show, replay, discard or export readings that could not be delivered."""


@command.command("list")
@_ids
@_selecting
@all_option
@as_json_option
def list_(ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, as_json: bool) -> None:
    """List dead letters, those that died first in front."""
    settings = load_settings()
    with opened(settings.outbox_path, is_read_only=True) as outbox:
        chosen = _choose(outbox, settings, ids, selection)
        if as_json:
            print_json_list(map(as_object, _records(outbox, chosen)))
        else:
            _print_table(outbox, chosen, most_listed(selection, all_of_them=all_of_them))


def _choose(
    outbox: OutboxAccess, settings: Settings, ids: tuple[str, ...], selection: Selection
) -> Chosen[DeliveryId]:
    if selection.endpoint is not None:
        require_endpoint(selection.endpoint, known_endpoints(outbox, settings.routes_file))
    wanted = replace(selection, ids=tuple(parse_delivery_id(text) for text in ids))
    return choose_dead_letters(outbox, wanted)


def _records(outbox: OutboxAccess, chosen: Chosen[DeliveryId]) -> Iterator[DeliveryRecord]:
    for keys in chosen.chunks():
        yield from outbox.records(keys)


def as_object(record: DeliveryRecord) -> dict[str, object]:
    return {
        "id": str(record.id),
        "endpoint": record.endpoint,
        "device": record.device,
        "webhook_id": record.webhook_id,
        "reason": record.reason,
        "attempts": record.attempts,
        "last_status": record.last_status,
        "last_error": record.last_error,
        "enqueued_at": instant(record.enqueued_at),
        "died_at": instant(record.settled_at),
    }


def _print_table(outbox: OutboxAccess, chosen: Chosen[DeliveryId], most: int) -> None:
    rows = table(
        id={}, endpoint=YIELDING, device=YIELDING, reason={},
        attempts={"justify": "right"}, last_answer={"max_width": 18}, died={"justify": "right"},
    )  # fmt: skip
    now = time.time()
    for record, _ in zip(_records(outbox, chosen), range(most), strict=False):
        rows.add_row(
            cell(record.id),
            cell(record.endpoint),
            cell(record.device),
            cell(record.reason),
            cell(record.attempts),
            cell(result_of(record)),
            cell(f"{age(now - (record.settled_at or now))} ago"),
        )
    print_listed(rows, count=chosen.count, what="dead letter")


@command.command("show")
@click.argument("name", metavar="ID")
@as_json_option
def show(name: str, *, as_json: bool) -> None:
    """Show one dead letter: its reading, and each attempt with what was answered."""
    key = parse_delivery_id(name)
    with opened(load_settings().outbox_path, is_read_only=True) as outbox:
        delivery = delivery_file(outbox, key)
    if delivery.record.state != "dead":
        state = delivery.record.state
        raise OperationError(
            f"{key} is not a dead letter, it is {state}; see: forwarder deliveries show {key}"
        )
    delivery_view.show(delivery, as_json=as_json)


@command.command("replay")
@_ids
@_selecting
@all_option
@click.option("--to", "to", metavar="NAME", help="Send them to this endpoint instead.")
@as_json_option
def replay_command(
    ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, to: str | None, as_json: bool
) -> None:
    """Try dead letters again, with new attempts and a new max_age; each goes to the head of its device's lane."""
    _require(ids, selection, all_of_them=all_of_them)
    settings = load_settings()
    routes = look_at_routes(settings.routes_file).routes
    with opened(settings.outbox_path) as outbox:
        if to is not None:
            require_endpoint(
                to, list(routes.endpoints) if routes else known_endpoints(outbox, None)
            )
        chosen = _choose(outbox, settings, ids, selection)
        if to is None:
            _require_routed(outbox.endpoints_of(chosen), routes)
            outcome = replay(outbox, chosen, now=time.time())
        else:
            outcome = replay_to(outbox, chosen, endpoint=to, now=time.time())
    _report(outcome, to, as_json=as_json)


def _require(ids: tuple[str, ...], selection: Selection, *, all_of_them: bool) -> None:
    if not ids:
        require_selection(selection, all_of_them=all_of_them, what="dead letters")


def _require_routed(names: list[str], routes: Routes | None) -> None:
    gone = [name for name in names if routes is not None and name not in routes.endpoints]
    if gone:
        raise ConfigurationError(
            f"routes.yaml no longer has the endpoint {', '.join(gone)}; say with --to NAME who gets its dead letters"
            " instead, or leave them out with --endpoint"
        )


def _report(outcome: Replayed, to: str | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps({"replayed": outcome.replayed, "already_there": outcome.already_there})
        )
        return
    where = f" to {to}" if to else ""
    click.echo(f"{count_of(outcome.replayed, 'dead letter')} replayed{where}")
    if outcome.already_there:
        click.echo(
            f"{outcome.already_there} not sent: {to} has them already; they stay dead letters"
        )


@command.command("discard")
@_ids
@_selecting
@all_option
@as_json_option
def discard_command(
    ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, as_json: bool
) -> None:
    """Erase dead letters for good; they stay counted as dead."""
    _require(ids, selection, all_of_them=all_of_them)
    settings = load_settings()
    with opened(settings.outbox_path) as outbox:
        erased = discard(outbox, _choose(outbox, settings, ids, selection))
    click.echo(
        json.dumps({"discarded": erased})
        if as_json
        else f"{count_of(erased, 'dead letter')} discarded"
    )


@command.command("export")
@_ids
@_selecting
@all_option
def export(ids: tuple[str, ...], selection: Selection, *, all_of_them: bool) -> None:  # noqa: ARG001 - all is what it does anyway
    """Write dead letters with their event data to standard output, one JSON object a line."""
    settings = load_settings()
    with opened(settings.outbox_path, is_read_only=True) as outbox:
        for keys in _choose(outbox, settings, ids, selection).chunks():
            for record, data in outbox.records_with_data(keys):
                click.echo(with_raw(as_object(record), "data", data))
