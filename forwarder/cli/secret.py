"""`forwarder secret` prints a fresh webhook secret."""

import base64
import secrets

import click


@click.command("secret", short_help="Print a fresh secret for an endpoint")
def command() -> None:
    """Print a fresh `whsec_…` secret for an endpoint and its receiver."""
    click.echo(fresh_secret())


def fresh_secret() -> str:
    """32 random bytes, as Standard Webhooks write a symmetric key."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
