"""`forwarder outbox check`: looks the outbox file over and says what it finds."""

import click

from forwarder.cli.groups import CommandGroup
from forwarder.cli.options import as_json_option
from forwarder.cli.tables import console, print_json, print_pairs
from forwarder.outbox import (
    Inspection,
    inspect,
)
from forwarder.settings import load_settings
from forwarder.terminal import plain


@click.group("outbox", cls=CommandGroup, short_help="Check the outbox file")
def command() -> None:
    """Look after the outbox file."""


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
