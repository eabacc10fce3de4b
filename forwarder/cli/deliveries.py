"""`forwarder deliveries` answers whether a partner got a reading."""

import time
from typing import get_args

import click

from forwarder.cli import delivery_view
from forwarder.cli.delivery_view import records_of, result_of
from forwarder.cli.groups import CommandGroup
from forwarder.cli.options import (
    all_option,
    as_json_option,
    id_argument,
    ids_argument,
    most_listed,
    selecting,
    which_endpoint_option,
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
from forwarder.operator import deliveries_meant, name_deliveries
from forwarder.operator.choosing import DeliveryState
from forwarder.operator.objects import delivery_object, next_attempt_at
from forwarder.outbox import Chosen, DeliveryId, DeliveryRecord, OutboxAccess, Selection, opened
from forwarder.settings import load_settings
from forwarder.units import age, time_left

_COLOURS = {"delivered": "green", "dead": "red", "pending": "yellow"}


@click.group("deliveries", cls=CommandGroup, short_help="What was delivered and what is pending")
def command() -> None:
    """List what was delivered within FORWARDER_KEEP_DELIVERED and what is pending, and show each attempt."""


@command.command("list", short_help="List them, the newest in front")
@ids_argument
@selecting("endpoint", "device", "since", "until", "limit", states=get_args(DeliveryState))
@all_option
@as_json_option
def list_(ids: tuple[str, ...], selection: Selection, *, all_of_them: bool, as_json: bool) -> None:
    """List deliveries, the newest in front; --since and --until go by when their readings came in."""
    settings = load_settings()
    with opened(settings.outbox_place, is_read_only=True) as outbox:
        chosen = deliveries_meant(outbox, ids, selection, routes=settings.routes_file)
        if as_json:
            print_json_list(map(delivery_object, records_of(outbox, chosen)))
        else:
            _print_table(outbox, chosen, most_listed(selection, all_of_them=all_of_them))


def _print_table(outbox: OutboxAccess, chosen: Chosen[DeliveryId], most: int) -> None:
    rows = table(
        id=STAYS, endpoint=NAME, device=DEVICE, state=LEAVES_LAST,
        attempts=number(leaves=1), last_answer=leaves(3), came_in=number(leaves=4),
        settled=number(leaves=2),
    )  # fmt: skip
    now = time.time()
    for record, _ in zip(records_of(outbox, chosen), range(most), strict=False):
        rows.add_row(
            cell(record.webhook_id),
            cell(record.endpoint),
            cell(record.device),
            cell(record.state, _COLOURS.get(record.state, "")),
            cell(record.attempts),
            cell(result_of(record)),
            cell(f"{age(now - record.enqueued_at)} ago"),
            cell(_settled(record, now)),
        )
    print_listed(rows, count=chosen.count, what="delivery", plural="deliveries")


def _settled(record: DeliveryRecord, now: float) -> str | None:
    if record.settled_at is not None:
        return f"{age(now - record.settled_at)} ago"
    due_at = next_attempt_at(record)
    return f"next in {time_left(due_at - now)}" if due_at is not None and due_at > now else None


@command.command("show", short_help="Show one reading's, with each attempt")
@id_argument
@which_endpoint_option
@as_json_option
def show(name: str, endpoint: str | None, *, as_json: bool) -> None:
    """Show one reading's deliveries, each with its attempts; ID is its webhook id, or the beginning of it."""
    with opened(load_settings().outbox_place, is_read_only=True) as outbox:
        keys = name_deliveries(outbox, [name])
        deliveries = delivery_view.of_one_reading(outbox, keys, endpoint=endpoint)
    delivery_view.show(deliveries, as_json=as_json)
