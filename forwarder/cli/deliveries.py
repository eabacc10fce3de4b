"""`forwarder deliveries`: did that partner get it?"""

import time
from collections.abc import Iterator

import click

from forwarder.cli import delivery_view
from forwarder.cli.delivery_view import facts_object, next_attempt_at, result_of
from forwarder.cli.options import all_option, as_json_option, most_listed, selecting
from forwarder.cli.tables import YIELDING, age, cell, print_json_list, print_listed, table
from forwarder.operator import (
    delivery_file,
    known_endpoints,
    parse_delivery_id,
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
from forwarder.settings import load_settings

_STATES = ("pending", "delivered", "dead", "expired", "superseded")
_COLOURS = {"delivered": "green", "dead": "red", "pending": "yellow"}


@click.group("deliveries")
def command() -> None:
    """List what was delivered within KEEP_DELIVERED and what is pending, and show each attempt."""


@command.command("list")
@selecting("endpoint", "device", "since", "until", "limit", states=_STATES)
@all_option
@as_json_option
def list_(selection: Selection, *, all_of_them: bool, as_json: bool) -> None:
    """List deliveries, the newest in front; --since and --until go by when their readings came in."""
    settings = load_settings()
    with opened(settings.outbox_path, is_read_only=True) as outbox:
        if selection.endpoint is not None:
            require_endpoint(selection.endpoint, known_endpoints(outbox, settings.routes_file))
        chosen = outbox.choose_deliveries(selection)
        if as_json:
            print_json_list(map(facts_object, _records(outbox, chosen)))
        else:
            _print_table(outbox, chosen, most_listed(selection, all_of_them=all_of_them))


def _records(outbox: OutboxAccess, chosen: Chosen[DeliveryId]) -> Iterator[DeliveryRecord]:
    for keys in chosen.chunks():
        yield from outbox.records(keys)


def _print_table(outbox: OutboxAccess, chosen: Chosen[DeliveryId], most: int) -> None:
    rows = table(
        id={}, endpoint=YIELDING, device=YIELDING, state={},
        attempts={"justify": "right"}, last_answer={"max_width": 18}, came_in={"justify": "right"},
        settled={"justify": "right"},
    )  # fmt: skip
    now = time.time()
    for record, _ in zip(_records(outbox, chosen), range(most), strict=False):
        rows.add_row(
            cell(record.id),
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
    return f"next in {age(due_at - now)}" if due_at is not None and due_at > now else None


@command.command("show")
@click.argument("name", metavar="ID")
@as_json_option
def show(name: str, *, as_json: bool) -> None:
    """Show one delivery with each of its attempts."""
    with opened(load_settings().outbox_path, is_read_only=True) as outbox:
        delivery = delivery_file(outbox, parse_delivery_id(name))
    delivery_view.show(delivery, as_json=as_json)
