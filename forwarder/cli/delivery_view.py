"""Deliveries with all their attempts, as `dead-letters show` and `deliveries show` write them."""

from collections.abc import Iterator, Sequence

import click

from forwarder.cli.tables import (
    PROSE,
    STAYS,
    cell,
    console,
    leaves,
    number,
    print_pairs,
    table,
)
from forwarder.delivery import in_words
from forwarder.errors import OperationError
from forwarder.operator import delivery_file
from forwarder.operator.objects import (
    delivery_file_object,
    instant,
    last_error,
    next_attempt_at,
    with_raw,
)
from forwarder.operator.payload import flattened
from forwarder.outbox import Chosen, DeliveryFile, DeliveryId, DeliveryRecord, OutboxAccess


def records_of(outbox: OutboxAccess, chosen: Chosen[DeliveryId]) -> Iterator[DeliveryRecord]:
    """The records of chosen deliveries that still exist, in their order."""
    for keys in chosen.chunks():
        yield from outbox.records(keys)


def of_one_reading(
    outbox: OutboxAccess, keys: Sequence[DeliveryId], *, endpoint: str | None
) -> list[DeliveryFile]:
    """All about these deliveries, or those to the named endpoint. Raises OperationError when it has none."""
    found = [delivery_file(outbox, key) for key in keys]
    chosen = [one for one in found if endpoint in (None, one.record.endpoint)]
    if not chosen:
        owed = ", ".join(one.record.endpoint for one in found)
        raise OperationError(
            f"{found[0].record.webhook_id} is not owed to {endpoint!r}; it is to: {owed}"
        )
    return chosen


def show(deliveries: Sequence[DeliveryFile], *, as_json: bool) -> None:
    """Write deliveries one after the other. Programs get an object, or a list of several."""
    if as_json:
        objects = [with_raw(delivery_file_object(one), "data", one.data) for one in deliveries]
        click.echo(objects[0] if len(objects) == 1 else f"[{', '.join(objects)}]")
        return
    for index, delivery in enumerate(deliveries):
        if index:
            click.echo()
        _print(delivery)


def _print(delivery: DeliveryFile) -> None:
    print_pairs(_facts(delivery.record))
    _print_attempts(delivery)
    if delivery.data is not None:
        console().print("\nThe reading", style="bold")
        print_pairs(flattened(delivery.data))


def _facts(record: DeliveryRecord) -> list[tuple[str, object]]:
    because = f" ({record.reason})" if record.reason else ""
    return [
        ("id", record.webhook_id),
        ("endpoint", record.endpoint),
        ("device", record.device),
        ("state", f"{record.state}{because}"),
        ("measured", record.measured_at),
        ("received", instant(record.received_at)),
        ("enqueued", instant(record.enqueued_at)),
        ("settled", instant(record.settled_at)),
        ("next attempt", instant(next_attempt_at(record))),
        ("attempts", record.attempts),
    ]


def _print_attempts(delivery: DeliveryFile) -> None:
    if not delivery.attempts:
        return
    console().print("\nAttempts", style="bold")
    rows = table(
        _=number(),
        at=STAYS,
        took=number(leaves=1),
        dialled=leaves(2),
        result=STAYS,
        answer=PROSE,
    )
    for attempt in delivery.attempts:
        rows.add_row(
            cell(attempt.number),
            cell(instant(attempt.attempted_at)),
            cell(f"{round(attempt.duration_ms)} ms"),
            cell(attempt.address),
            cell(in_words(attempt.error) or attempt.status, "red" if attempt.error else "green"),
            cell(attempt.detail or attempt.answer.decode(errors="replace")),
        )
    console().print(rows)


def result_of(record: DeliveryRecord) -> str | int | None:
    """The result of the last attempt: 204, 503 or `timeout`; None before the first."""
    return in_words(last_error(record) or "") or record.last_status
