"""`forwarder send-test` sends signed events to one endpoint or to any URL, and shows the answers."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, get_args

import click

from forwarder.cli.answer_view import (
    ADVICE,
    ADVICE_AT_A_URL,
    as_object,
    as_sentences,
    summary,
    summary_object,
)
from forwarder.cli.names import endpoint_names
from forwarder.cli.options import signing_keys
from forwarder.cli.own_url import endpoint_at
from forwarder.demo.samples import SAMPLE_DEVICE, samples
from forwarder.errors import ConfigurationError, ForwarderError
from forwarder.operator import Answered, find_endpoint, send_each
from forwarder.reading import Device
from forwarder.render import FORMATS, TEST_DEVICE, Rendered, Unrenderable, render, render_test
from forwarder.routes import load_routes
from forwarder.routes.model import BatchLimits, Endpoint, Format, NoticeFormat
from forwarder.sender import Guard, pooled_transports
from forwarder.settings import environment, load_settings

Event = Literal["test", "reading", "readings"]

BATCHED_READINGS = 3
"""Readings that `--event readings` puts in one request, unless the endpoint takes fewer."""


@dataclass(frozen=True, slots=True)
class Sending:
    """The endpoint, the event, and how often it is sent."""

    endpoint: Endpoint
    event: Event
    count: int
    advice: Mapping[str, str]
    guard: Guard
    proxy_url: str | None = None

    @property
    def device(self) -> Device:
        """The device in the place of `{device}` in the URL, which no customer has."""
        return TEST_DEVICE if self.event == "test" else SAMPLE_DEVICE


@click.command("send-test", short_help="Send signed events to an endpoint or any URL")
@click.argument("name", metavar="[ENDPOINT]", required=False, shell_complete=endpoint_names)
@click.option("--url", help="Any URL instead of an endpoint; needs no settings and no routes.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="SECRET",
    help="With --url: what to sign with, as env:NAME or file:PATH; several sign as during a rotation.",
)
@click.option(
    "--event",
    type=click.Choice(get_args(Event)),
    default="test",
    show_default=True,
    help="webhook.test, or readings of a simulated device: one, or a batch.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMATS, "text"]),
    help="The endpoint's unless given; standard for a URL. text is for the operator's endpoint.",
)
@click.option(
    "--count", type=click.IntRange(1, 10_000), default=1, show_default=True, help="So many."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(
    context: click.Context,
    name: str | None,
    url: str | None,
    secrets: tuple[str, ...],
    event: Event,
    form: Format | NoticeFormat | None,
    count: int,
    *,
    as_json: bool,
) -> None:
    """Send signed events to ENDPOINT or --url and show the answer; exit 0 when each is taken (2xx, or success)."""
    if (name is None) == (url is None):
        raise ConfigurationError("name either an ENDPOINT of routes.yaml or a --url")
    if url is not None:
        sending = _to_url(url, secrets, event, count)
    elif secrets:
        raise ConfigurationError("--secret goes with --url; an endpoint signs with its own")
    else:
        sending = _to_endpoint(str(name), event, count)
    _require_meant(sending.endpoint, event, form)
    endpoint = in_form(sending.endpoint, event=event, form=form)
    outcomes = asyncio.run(send(replace(sending, endpoint=endpoint)))
    click.echo(_described(sending, outcomes, as_json=as_json))
    context.exit(0 if all(one.is_taken for one in outcomes) else 1)


def _to_url(url: str, secrets: Sequence[str], event: Event, count: int) -> Sending:
    keys = signing_keys(secrets)
    if not keys:
        raise ConfigurationError(
            "--url needs the --secret that its receiver knows; `forwarder secret` prints a new one"
        )
    endpoint = endpoint_at(url, option="--url", keys=keys)
    return Sending(endpoint, event, count, ADVICE | ADVICE_AT_A_URL, Guard())


def _to_endpoint(name: str, event: Event, count: int) -> Sending:
    settings = load_settings()
    routes = load_routes(
        settings.routes_file, environ=environment(), secrets_dir=settings.secrets_dir
    )
    endpoint = find_endpoint(routes, name)
    proxy = settings.proxy_url.get_secret_value() if settings.proxy_url else None
    guard = Guard(settings.deny_networks, settings.allow_networks, settings.listen_address)
    return Sending(endpoint, event, count, ADVICE, guard, proxy)


def _require_meant(endpoint: Endpoint, event: Event, form: Format | NoticeFormat | None) -> None:
    """Raises ConfigurationError for an event that such an endpoint never gets."""
    if endpoint.events is not None and event != "test":
        raise ConfigurationError(f"{endpoint.name} is sent no readings; leave --event out")
    if endpoint.events is None and form == "text":
        raise ConfigurationError(
            "--format text is for `operator:` of routes.yaml; readings are no text"
        )


def in_form(endpoint: Endpoint, *, event: Event, form: Format | NoticeFormat | None) -> Endpoint:
    """The endpoint in the form for that event. `readings` are a batch, even if it usually gets single readings."""
    batch = endpoint.batch
    if event == "readings" and batch is None:
        batch = BatchLimits(BATCHED_READINGS, 0.0)
    if form is not None:
        endpoint = replace(endpoint, format=form, template=None, content_type=None)
    return replace(endpoint, batch=batch)


async def send(sending: Sending) -> list[Answered]:
    """Send one request after the other, each with an id of its own."""
    try:
        return await send_each(
            _requests(sending),
            endpoint=sending.endpoint,
            device=sending.device,
            transport_for=pooled_transports(proxy_url=sending.proxy_url, guard=sending.guard),
        )
    except Unrenderable as nothing:
        hint = "; send a sample: --event reading" if sending.event == "test" else ""
        name = sending.endpoint.name
        raise ForwarderError(f"endpoint {name}: nothing to send: {nothing}{hint}") from None


def _requests(sending: Sending) -> Iterator[Rendered]:
    endpoint, now = sending.endpoint, datetime.now(UTC)
    if sending.event == "test":
        for _ in range(sending.count):
            yield render_test(endpoint, now=datetime.now(UTC))
        return
    each = 1
    if sending.event == "readings" and endpoint.batch is not None:
        each = min(BATCHED_READINGS, endpoint.batch.max_events)
    deliveries = samples(sending.count * each, endpoint=endpoint.name, now=now)
    while several := list(itertools.islice(deliveries, each)):
        yield render(several, endpoint=endpoint)


def _described(sending: Sending, outcomes: Sequence[Answered], *, as_json: bool) -> str:
    name, known = sending.endpoint.name, sending.advice
    if len(outcomes) == 1:
        (one,) = outcomes
        return as_object(name, one) if as_json else as_sentences(name, one, known=known)
    return summary_object(name, outcomes) if as_json else summary(name, outcomes, known=known)
