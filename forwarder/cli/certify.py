"""`forwarder certify` judges somebody's receiver from outside, in words and for their CI."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial

import click

from forwarder.cli.marks import mark
from forwarder.cli.options import signing_keys
from forwarder.cli.own_url import endpoint_at
from forwarder.cli.probes import Forge, Verdict, judge, probes
from forwarder.errors import ConfigurationError
from forwarder.routes.model import Endpoint
from forwarder.sender import Guard, client_for, pooled_transports
from forwarder.terminal import plain
from forwarder.units import count_of


@click.command("certify", short_help="Judge a receiver of webhooks, probe by probe")
@click.argument("url")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    required=True,
    metavar="SECRET",
    help="What the receiver verifies with, as env:NAME or file:PATH.",
)
@click.option("--with-readings", is_flag=True, help="Send simulated readings too, not only tests.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(
    context: click.Context,
    url: str,
    secrets: tuple[str, ...],
    *,
    with_readings: bool,
    as_json: bool,
) -> None:
    """
    Send URL what a receiver has to take and what it has to reject; exit 1 when it falls short.

    Only webhook.test events are sent, which receivers ignore, unless --with-readings is given.
    """
    keys = signing_keys(secrets)
    if len(keys) != 1:
        raise ConfigurationError("certify wants one --secret: the one that the receiver knows")
    endpoint = endpoint_at(url, option="URL", keys=keys)
    verdicts = asyncio.run(certify(endpoint, with_readings=with_readings, is_told=not as_json))
    if as_json:
        click.echo(as_object(endpoint.name, verdicts))
    else:
        click.echo(summary(endpoint.name, verdicts))
    context.exit(0 if all(one.is_passed for one in verdicts) else 1)


async def certify(
    endpoint: Endpoint, *, with_readings: bool, is_told: bool = False
) -> list[Verdict]:
    """The verdicts of all probes. Each is told as it comes."""
    fresh = partial(client_for, endpoint, transport_for=pooled_transports(guard=Guard()))
    verdicts = []
    async with fresh() as client:
        for probe in probes(Forge(endpoint, endpoint.keys[0]), with_readings=with_readings):
            verdict = await judge(probe, endpoint.url, client=client, fresh=fresh)
            verdicts.append(verdict)
            if is_told:
                click.echo(line(verdict))
    return verdicts


def line(verdict: Verdict) -> str:
    """A verdict as one line, and below it the change that is needed."""
    first = f"{mark(is_fine=verdict.is_passed)} {verdict.probe.name:<32}  {', '.join(dict.fromkeys(verdict.answers))}"
    return plain(first) if verdict.is_passed else f"{plain(first)}\n    {plain(verdict.problem)}"


def summary(name: str, verdicts: Sequence[Verdict]) -> str:
    failed = sum(not one.is_passed for one in verdicts)
    if not failed:
        return f"{name} passes: {count_of(len(verdicts), 'probe')}"
    return f"{name} falls short in {failed} of {count_of(len(verdicts), 'probe')}; what to change stands above"


def as_object(name: str, verdicts: Sequence[Verdict]) -> str:
    """A verdict as a JSON object. `problem` is null if there is none."""
    return json.dumps(
        {
            "receiver": name,
            "passed": all(one.is_passed for one in verdicts),
            "probes": [
                {
                    "name": one.probe.name,
                    "passed": one.is_passed,
                    "answers": list(one.answers),
                    "problem": one.problem or None,
                }
                for one in verdicts
            ],
        }
    )
