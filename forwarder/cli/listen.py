"""`forwarder listen`: a local receiver that verifies signatures and prints what arrives."""

import asyncio
import random
from collections.abc import Callable

import click
from rich.console import Console
from rich.text import Text

from forwarder.cli.options import secret_of
from forwarder.demo.listener import Answer, Listener, Received
from forwarder.demo.wording import short_id, signature, what_came
from forwarder.errors import OperationError
from forwarder.units import parse_duration

_REMEMBERED_READINGS = 100_000


def _duration(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as malformed:
        raise click.BadParameter(str(malformed)) from malformed


@click.command("listen")
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
    fail_rate: float | None,
    status: int | None,
    delay: float,
) -> None:
    """Receive webhooks, verify their signatures and print what arrives, until Ctrl-C."""
    console = Console(highlight=False, soft_wrap=True)
    listener = Listener(
        secrets=[secret_of(reference) for reference in secrets],
        host=host,
        port=port,
        answer=_rule(fail_rate=fail_rate, status=status, delay_seconds=delay),
        remember=_REMEMBERED_READINGS,
        on_answered=lambda received: console.print(_line(received, verifies=bool(secrets))),
    )
    try:
        asyncio.run(_listen(listener, console))
    except KeyboardInterrupt:
        console.print(f"{len(listener.accepted)} readings received.")


def _rule(
    *, fail_rate: float | None, status: int | None, delay_seconds: float
) -> Callable[[Received], Answer]:
    share = fail_rate if fail_rate is not None else (0.0 if status is None else 1.0)
    failure = status or 503

    def answer(_received: Received) -> Answer:
        fails = random.random() < share  # noqa: S311 - chance, not a secret
        return Answer(failure if fails else 204, delay_seconds=delay_seconds)

    return answer


async def _listen(listener: Listener, console: Console) -> None:
    try:
        await listener.start()
    except OSError as taken:
        raise OperationError(
            f"cannot listen on {listener.url}: {taken.strerror or taken}; choose another --port or --host"
        ) from taken
    try:
        verified = (
            "signatures are verified"
            if listener.verifies
            else "signatures are not verified: no --secret"
        )
        console.print(f"Listening on {listener.url} ({verified}). Ctrl-C ends.")
        await asyncio.Event().wait()
    finally:
        await listener.stop()


def _line(received: Received, *, verifies: bool) -> Text:
    judged = signature(received, verifies=verifies)
    line = Text(f"{received.received_at.astimezone():%H:%M:%S}  ", style="dim")
    line.append(what_came(received), style="not dim")
    line.append(f"  {judged}", style="not dim " + ("green" if received.verified else "yellow"))
    line.append(f"  attempt {received.attempt}" if received.attempt else "  no attempt number")
    line.append(f"  {short_id(received.webhook_id)}")
    line.append(
        f"  {received.status}", style="not dim " + ("green" if received.was_accepted else "red")
    )
    line.append("  seen before" if received.is_duplicate else "")
    return line
