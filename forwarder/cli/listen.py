"""`forwarder listen` is a local receiver that verifies signatures, prints requests, and may pass them on."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import click
from rich.console import Console

from forwarder.cli.options import signing_keys
from forwarder.cli.own_url import endpoint_at
from forwarder.cli.relay import Relay
from forwarder.cli.request_view import ForPeople, ForPrograms, RequestView
from forwarder.demo.listener import Answer, AnswerRule, Listener, Received
from forwarder.errors import ConfigurationError, OperationError
from forwarder.routes.model import Endpoint
from forwarder.sender import client_for, pooled_transports
from forwarder.terminal import plain
from forwarder.units import parse_duration

_REMEMBERED_READINGS = 100_000


def _duration(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as malformed:
        raise click.BadParameter(str(malformed)) from malformed


@click.command("listen", short_help="Receive webhooks, verify them, print what arrives")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=9000, show_default=True, type=click.IntRange(0, 65535), help="0: a free one."
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="SECRET",
    help="The endpoint's, as env:NAME or file:PATH: whsec_… itself shows in the list of processes. "
    "Several while a key is rotated; without any, nothing is verified.",
)
@click.option("--body", is_flag=True, help="Print headers and bodies too.")
@click.option("--json", "as_json", is_flag=True, help="For programs: an object for each request.")
@click.option("--to", metavar="URL", help="Pass verified requests on, and answer what URL answers.")
@click.option(
    "--fail-rate",
    type=click.FloatRange(0, 1),
    help="Fail this share of the requests, 0 to 1, with --status (default 503).",
)
@click.option("--status", type=click.IntRange(200, 599), help="Answer this instead of 204.")
@click.option("--delay", default="0s", callback=_duration, help="Answer after this long, as 500ms.")
def command(
    host: str,
    port: int,
    secrets: tuple[str, ...],
    to: str | None,
    fail_rate: float | None,
    status: int | None,
    delay: float,
    *,
    body: bool,
    as_json: bool,
) -> None:
    """Receive webhooks, verify their signatures and print what arrives, until Ctrl-C."""
    keys = signing_keys(secrets)
    if to is not None and not keys:
        raise ConfigurationError("--to passes on verified requests alone: give their --secret too")
    target = None if to is None else endpoint_at(to, option="--to")
    console = Console(highlight=False, soft_wrap=True)
    view = ForPrograms() if as_json else ForPeople(console, with_bodies=body)
    listener = Listener(
        keys=keys, host=host, port=port, remember=_REMEMBERED_READINGS, on_answered=view.show
    )
    failing = _failing(fail_rate=fail_rate, status=status)
    try:
        asyncio.run(_listen(listener, view, failing, delay_seconds=delay, target=target))
    except KeyboardInterrupt:
        view.end()


@dataclass(frozen=True, slots=True)
class Failing:
    """How often a request is failed on purpose, and with which status."""

    share: float
    status: int

    def happens(self) -> bool:
        return random.random() < self.share  # noqa: S311 - chance, not a secret


def _failing(*, fail_rate: float | None, status: int | None) -> Failing:
    share = fail_rate if fail_rate is not None else (0.0 if status is None else 1.0)
    return Failing(share, status or 503)


async def _listen(
    listener: Listener,
    view: RequestView,
    failing: Failing,
    *,
    delay_seconds: float,
    target: Endpoint | None,
) -> None:
    async with AsyncExitStack() as stack:
        succeed: Callable[[Received], Awaitable[Answer]] = _take
        if target is not None:
            client = client_for(target, transport_for=pooled_transports())
            succeed = Relay(target, await stack.enter_async_context(client), tell=_complain)
        listener.answer = _rule(failing, succeed, delay_seconds=delay_seconds)
        await _start(listener)
        stack.push_async_callback(listener.stop)
        view.begin(_greeting(listener, target))
        await asyncio.Event().wait()


async def _take(_received: Received) -> Answer:
    return Answer(204)


def _rule(
    failing: Failing, succeed: Callable[[Received], Awaitable[Answer]], *, delay_seconds: float
) -> AnswerRule:
    async def answer(received: Received) -> Answer:
        answer = Answer(failing.status) if failing.happens() else await succeed(received)
        return replace(answer, delay_seconds=delay_seconds)

    return answer


async def _start(listener: Listener) -> None:
    try:
        await listener.start()
    except OSError as taken:
        raise OperationError(
            f"cannot listen on {listener.url}: {taken.strerror or taken}; choose another --port or --host"
        ) from taken


def _greeting(listener: Listener, target: Endpoint | None) -> str:
    verified = (
        "signatures are verified"
        if listener.verifies
        else "signatures are not verified: no --secret"
    )
    onward = f", what is verified goes to {target.name}" if target else ""
    return f"Listening on {listener.url} ({verified}{onward}). Ctrl-C ends."


def _complain(sentence: str) -> None:
    click.echo(plain(sentence), err=True)
