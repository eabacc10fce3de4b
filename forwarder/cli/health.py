"""`forwarder health` asks the running service, for container health checks."""

import click

from forwarder.cli.running import ask
from forwarder.errors import OperationError
from forwarder.settings import load_settings

TIMEOUT_SECONDS = 3.0


@click.command("health", short_help="Exit 0 when the running service is healthy")
def command() -> None:
    """Exit 0 when /healthz of the running service answers 200, else 1."""
    host, port = address = load_settings().listen_address
    try:
        status, body = ask(address, "/healthz", timeout_seconds=TIMEOUT_SECONDS)
    except OSError as error:
        raise OperationError(f"the service does not answer on {host}:{port}: {error}") from error
    text = body[:4096].decode(errors="replace").strip()
    if not _is_ours(status, text):
        raise OperationError(
            f"{host}:{port} is no forwarder; FORWARDER_HTTP_LISTEN says where ours is asked for"
        )
    if status != 200:
        raise OperationError(f"the service is not healthy: {'; '.join(text.splitlines())}")
    click.echo("healthy")


def _is_ours(status: int, text: str) -> bool:
    """Whether the answer is ours: 200 or 503 in plain words. Another server may listen there, with its own page."""
    return status in (200, 503) and not text.startswith("<")
