"""The view of `forwarder listen` shows requests: a line each for people, an object each for programs."""

import base64
import json
from collections.abc import Iterator
from typing import NoReturn, Protocol

import click
from rich.console import Console
from rich.text import Text

from forwarder.demo.listener import Received
from forwarder.demo.wording import signature, what_came
from forwarder.operator.objects import with_raw
from forwarder.operator.payload import hex_lines, printable
from forwarder.reading import rfc3339
from forwarder.terminal import plain, plain_json
from forwarder.units import count_of

_MOST_HEX_BYTES = 1024
_HEADERS = ("content-type", "user-agent")


class RequestView(Protocol):
    """Shows requests as they are answered."""

    def begin(self, sentence: str) -> None:
        """Say where requests are awaited."""

    def show(self, received: Received) -> None:
        """Show one request, which has its answer."""

    def end(self) -> None:
        """Say how many requests came."""


class ForPeople:
    """Shows a line that fits 80 columns with its whole id, unless something is amiss, and bodies if asked for."""

    def __init__(self, console: Console, *, with_bodies: bool) -> None:
        self._console = console
        self._with_bodies = with_bodies
        self._requests = 0
        self._readings = 0

    def begin(self, sentence: str) -> None:
        self._console.print(sentence, markup=False)

    def show(self, received: Received) -> None:
        self._requests += 1
        if received.was_accepted and not received.is_duplicate:
            self._readings += sum("device" in reading for reading in received.readings)
        self._console.print(line(received))
        if self._with_bodies:
            for text in (*header_lines(received), *body_lines(received.body), ""):
                self._console.print(Text(text, style="dim"))

    def end(self) -> None:
        requests = count_of(self._requests, "request")
        self._console.print(f"{requests}, {count_of(self._readings, 'new reading')}.")


class ForPrograms:
    """Shows one JSON object a line on standard output, and nothing else there."""

    def begin(self, sentence: str) -> None:
        click.echo(sentence, err=True)

    def show(self, received: Received) -> None:
        click.echo(as_json(received))

    def end(self) -> None:
        return


def line(received: Received) -> Text:
    """`204 ✓ ECC9FF5C001A  draws 0.631 kW  msg_…`, and behind it all that is not as usual."""
    text = Text(str(received.status), style="green" if received.was_accepted else "red")
    mark = {True: " ✓ ", False: " ✗ "}[received.verified] if received.verdict else "   "
    text.append(mark, style="green" if received.verified else "yellow")
    text.append(f"{what_came(received):<31}  {plain(received.webhook_id) or 'no id'}", style="none")
    for remark in _remarks(received):
        text.append(f"  {remark}", style="yellow")
    return text


def _remarks(received: Received) -> Iterator[str]:
    if not received.verified:
        yield signature(received)
    if received.attempt > 1:
        yield f"attempt {received.attempt}"
    if received.is_duplicate:
        yield "seen before"


def header_lines(received: Received) -> Iterator[str]:
    """The headers of interest to a receiver of webhooks."""
    for name, value in _headers_of(received).items():
        yield plain(f"{name}: {value}")


def _headers_of(received: Received) -> dict[str, str]:
    return {
        name: value
        for name, value in received.headers.items()
        if name in _HEADERS or name.startswith("webhook-")
    }


def body_lines(body: bytes) -> Iterator[str]:
    """A body for people: JSON indented, other text as it is, and the start of other bytes in hexadecimal."""
    if (document := json_text(body)) is not None:
        yield from map(plain_json, _pretty(document).split("\n"))
    elif (text := printable(body)) is not None:
        yield from text.splitlines()
    else:
        yield from hex_lines(body[:_MOST_HEX_BYTES])


def _pretty(document: str) -> str:
    try:
        return json.dumps(json.loads(document), indent=2, ensure_ascii=False)
    except RecursionError:  # it reads deeper nesting than it writes
        return document


def as_json(received: Received) -> str:
    """
    One request as an object: its outcome, the headers that matter, and `body`, its JSON with all its digits.

    `body` is null for a body that is no JSON, which stands in `body_base64`.
    """
    document = json_text(received.body)
    told: dict[str, object] = {
        "received_at": rfc3339(received.received_at),
        "status": received.status,
        "verdict": received.verdict or "not_verified",
        "seen_before": received.is_duplicate,
        "attempt": received.attempt or None,
        "path": received.path,
        "headers": _headers_of(received),
    }
    if document is None and received.body:
        told["body_base64"] = base64.b64encode(received.body).decode()
    return with_raw(told, "body", None if document is None else document.encode())


def json_text(body: bytes) -> str | None:
    """The body on one line, digit by digit, if it is JSON (RFC 8259), which has no NaN; else None."""
    try:
        text = body.decode()
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    # Line breaks stand between values only, because JSON escapes them in strings.
    return text.translate({ord(blank): " " for blank in "\r\n\t"})


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
