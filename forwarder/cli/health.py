"""`forwarder health`: asks the running service, for container health checks."""

import http.client

import click

from forwarder.errors import OperationError
from forwarder.settings import load_settings

TIMEOUT_SECONDS = 3.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a server listens on, not what we dial


@click.command("health")
def command() -> None:
    """Exit 0 when /healthz of the running service answers 200, else 1."""
    host, port = load_settings().listen_address
    connection = http.client.HTTPConnection(
        _ANY_ADDRESS.get(host, host), port, timeout=TIMEOUT_SECONDS
    )
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        text = answer.read(4096).decode(errors="replace").strip()
    except OSError as error:
        raise OperationError(f"the service does not answer on {host}:{port}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise OperationError(f"the service is not healthy: {text}")
    click.echo("healthy")
