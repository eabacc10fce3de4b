"""`forwarder run`: the service."""

import click
import uvloop

from forwarder.cli.process_one import is_process_one, leave_orphans_to_the_kernel
from forwarder.logs import configure_logs
from forwarder.service import run_service
from forwarder.settings import load_settings


@click.command("run")
def command() -> None:
    """Subscribe, normalise, route and deliver, until SIGTERM or SIGINT; then drain and exit 0."""
    if is_process_one():
        leave_orphans_to_the_kernel()
    settings = load_settings()
    configure_logs(format=settings.log_format, level=settings.log_level)
    uvloop.run(run_service(settings))
