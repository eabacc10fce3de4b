"""`forwarder outbox check` looks the outbox over and says what it finds; `copy` moves it to the other engine."""

from pathlib import Path

import click

from forwarder.cli.groups import CommandGroup
from forwarder.cli.options import as_json_option, secret_of
from forwarder.cli.tables import (
    NAME,
    cell,
    console,
    number,
    print_json,
    print_pairs,
    table,
)
from forwarder.errors import ConfigurationError, SettingsError
from forwarder.outbox import Copied, EndpointTotals, Inspection, copy_outbox, inspect
from forwarder.settings import OutboxPlace, Settings, load_settings, outbox_place
from forwarder.terminal import plain

TOTALS = ("enqueued", "delivered", "dead", "expired", "superseded", "pending")


@click.group("outbox", cls=CommandGroup, short_help="Check the outbox, or move it to a database")
def command() -> None:
    """Look after the outbox."""


@command.command("check", short_help="Check its structure, rows and accounts")
@as_json_option
@click.pass_context
def check(context: click.Context, *, as_json: bool) -> None:
    """Check the file, how its rows belong together, and the accounts; exit 0 when all is sound, else 1."""
    inspection = inspect(load_settings().outbox_place)
    if as_json:
        print_json(as_object(inspection))
    else:
        _print(inspection)
    context.exit(0 if inspection.is_sound else 1)


@command.command("copy", short_help="Move it to a database, or back to a file")
@click.option(
    "--to",
    "to",
    metavar="URL|PATH",
    required=True,
    help="postgresql://…, or a file: where there is no outbox yet. env:NAME and file:PATH hold a URL with a password.",
)
@click.option(
    "--from",
    "source",
    metavar="URL|PATH",
    help="The outbox to copy, written likewise; else the one that the settings name.",
)
@as_json_option
def copy(*, to: str, source: str | None, as_json: bool) -> None:
    """
    Copy the outbox from SQLite to PostgreSQL or back, while the service is stopped.

    All of it or nothing: every row is read back and compared, and so are the accounts of each endpoint. Set
    FORWARDER_OUTBOX_URL to the copy then, and start on that alone.
    """
    settings = load_settings()
    place = settings.outbox_place if source is None else _place(source, option="--from")
    destination = _place(to, option="--to")
    copied = copy_outbox(place, destination, deployment=_deployment(settings))
    if as_json:
        print_json(_as_object(copied, place, destination))
    else:
        _print_copied(copied, place, destination)


def _deployment(settings: Settings) -> str | None:
    """The deployment that is to use the copy; None if the settings do not tell it, because a copy does not need it."""
    try:
        return settings.broker().deployment
    except SettingsError:
        return None


def _place(reference: str, *, option: str) -> OutboxPlace:
    text = secret_of(reference, option=option)
    if text and "://" not in text:
        return Path(text)
    place = outbox_place(text)
    if place is None:
        raise ConfigurationError(
            f"{option}: expected postgresql://user:password@host:5432/database, sqlite:///outbox.db or a path"
        )
    return place


def _as_object(copied: Copied, source: OutboxPlace, to: OutboxPlace) -> dict[str, object]:
    return {
        "from": str(source),
        "to": str(to),
        "rows": dict(copied.rows),
        "endpoints": {one.name: _totals_of(one) for one in copied.endpoints},
    }


def _totals_of(endpoint: EndpointTotals) -> dict[str, int]:
    return {total: getattr(endpoint, total) for total in TOTALS}


def _print_copied(copied: Copied, source: OutboxPlace, to: OutboxPlace) -> None:
    columns = {total: number(leaves=rank) for rank, total in enumerate(TOTALS, 1)}
    endpoints = table(endpoint=NAME, **columns)
    for one in copied.endpoints:
        endpoints.add_row(
            cell(one.name), *(cell(f"{count:,}") for count in _totals_of(one).values())
        )
    if copied.endpoints:
        console().print(endpoints)
    rows = sum(copied.rows.values())
    console().print(
        f"Copied {source} to {to}: {rows:,} rows, and every row and account agrees. Set FORWARDER_OUTBOX_URL to the"
        " copy, and let no service start on the other again.",
        style="green",
        soft_wrap=True,
    )


def as_object(inspection: Inspection) -> dict[str, object]:
    return {
        "sound": inspection.is_sound,
        "faults": list(inspection.faults),
        "path": str(inspection.path),
        "schema_version": inspection.schema_version,
        "file_bytes": inspection.file_bytes,
        "wal_bytes": inspection.wal_bytes,
        "service_running": inspection.is_service_running,
        "deliveries": inspection.deliveries,
        "readings": inspection.readings,
        "quarantined": inspection.quarantined,
    }


def _print(inspection: Inspection) -> None:
    states = ", ".join(f"{count:,} {state}" for state, count in inspection.deliveries.items())
    print_pairs(
        [
            ("outbox", inspection.path),
            ("schema", inspection.schema_version),
            (
                "size",
                f"{inspection.file_bytes:,} bytes, write-ahead log {inspection.wal_bytes:,} bytes",
            ),
            ("service", "running" if inspection.is_service_running else "not running"),
            ("readings", f"{inspection.readings:,}"),
            ("deliveries", states or "none"),
            ("quarantine", f"{inspection.quarantined:,}"),
        ]
    )
    for fault in inspection.faults:
        console().print(f"fault: {plain(fault)}", style="red", soft_wrap=True)
    if inspection.is_sound:
        console().print("The outbox is sound, and its accounts agree with its rows.", style="green")
