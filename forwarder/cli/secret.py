"""`forwarder secret`: a fresh webhook secret."""

import base64
import secrets

import click


@click.command("secret")
def command() -> None:
    """Print a fresh `whsec_…` secret for an endpoint and its receiver."""
    click.echo("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
