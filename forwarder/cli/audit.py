"""`forwarder audit`: who changed what."""

import time

import click

from forwarder.cli.options import MOST_LISTED, as_json_option
from forwarder.cli.tables import (
    LEAVES_LAST,
    NAME,
    PROSE,
    STAYS,
    cell,
    number,
    print_json_list,
    print_listed,
    table,
)
from forwarder.operator.objects import audit_object
from forwarder.outbox import MOST_AUDITED, opened
from forwarder.settings import load_settings
from forwarder.units import age


@click.command("audit", short_help="Who changed what")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many.")
@as_json_option
def command(limit: int | None, *, as_json: bool) -> None:
    """List what people changed, by commands, API and page, the newest in front."""
    with opened(load_settings().outbox_place, is_read_only=True) as outbox:
        records = outbox.audit(limit=MOST_AUDITED)
    if as_json:
        print_json_list(map(audit_object, records[:limit]))
        return
    rows, now = (
        table(when=STAYS, who=NAME, via=LEAVES_LAST, what=PROSE, endpoint=NAME, count=number()),
        time.time(),
    )
    for one in records[: limit or MOST_LISTED]:
        when = f"{age(now - one.at)} ago"
        rows.add_row(*map(cell, (when, one.who, one.via, one.what, one.endpoint, one.count)))
    print_listed(rows, count=len(records), what="change")
