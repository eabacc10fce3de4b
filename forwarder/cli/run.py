"""`forwarder run`: the service."""

import click
import uvloop

from forwarder.cli.process_one import is_process_one, leave_orphans_to_the_kernel
from forwarder.cli.signals import ignore_signals
from forwarder.logs import configure_logs
from forwarder.service import raise_limit, require_room, run_service
from forwarder.settings import load_settings


@click.command("run", short_help="Run the service until it is told to stop")
def command() -> None:
    """Subscribe, normalise, route and deliver, until SIGTERM or SIGINT; then drain and exit 0."""
    if is_process_one():
        leave_orphans_to_the_kernel()
    settings = load_settings()
    lines = configure_logs(format=settings.log_format, level=settings.log_level)
    share = raise_limit()
    require_room(share)  # the event loop itself could not say what it lacks
    try:
        uvloop.run(run_service(settings, share=share, log_lines_dropped=lambda: lines.dropped))
    finally:
        ignore_signals()
        lines.flush()  # before the sentence with which this may end
