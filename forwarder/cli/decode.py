"""`forwarder decode` shows the reading of one payload, and which part of it gave which value."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.text import Text

from forwarder.cli.grid import Column, Grid
from forwarder.cli.names import endpoint_names
from forwarder.cli.tables import STAYS, cell, console
from forwarder.delivery import Delivery, ReadingNumber
from forwarder.errors import ConfigurationError
from forwarder.event_data import encode_data
from forwarder.files import printable
from forwarder.normalise import Part, Trace, device_in_text, load_normaliser
from forwarder.operator import find_endpoint, look_at_routes
from forwarder.reading import JsonValue, Message, Reading, Unreadable, rfc3339, webhook_id
from forwarder.render import Rendered, Unrenderable, render
from forwarder.routes import Endpoint
from forwarder.settings import Settings, load_settings
from forwarder.terminal import plain, plain_json

LONGEST_PAYLOAD = 256 << 20
"""Most bytes in one MQTT packet (MQTT 3.1.1 §2.2.3)."""

_TOPIC_WITHOUT_DEVICE = "decode/unknown"
_SHOWN_CHARACTERS = 60
_PATH = Column(folds_to=20, breaks_after="._")
_COLUMNS = {
    "in the payload": _PATH,
    "sent": Column(folds_to=10),
    "is": _PATH,
    "unit": STAYS,
    "": Column(folds_to=10),
}


@click.command("decode", short_help="Show what a payload becomes, or why it does not")
@click.option(
    "--topic",
    help="The topic it came on; its last level names the device. Default: whatever device the payload names.",
)
@click.option(
    "--template",
    "template_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The template it was made with. Default: FORWARDER_TEMPLATE_FILE, or the known shapes.",
)
@click.option(
    "--endpoint",
    "endpoint_name",
    metavar="NAME",
    shell_complete=endpoint_names,
    help="Show the request that this endpoint of routes.yaml would get.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.argument("file", type=click.File("rb"), default="-")
@click.pass_context
def command(
    context: click.Context,
    topic: str | None,
    template_path: Path | None,
    endpoint_name: str | None,
    file: BinaryIO,
    *,
    as_json: bool,
) -> None:
    """Show what the payload in FILE (default: standard input) becomes; exit 1 for quarantine, without --json."""
    # Without a topic the payload's own device counts, because there is nothing that it could contradict.
    settings = load_settings()
    endpoint = _endpoint(settings, endpoint_name) if endpoint_name is not None else None
    normaliser = load_normaliser(
        settings,
        template_file=template_path,
        trusts_payload_device=True if topic is None else None,
    )
    topic = _TOPIC_WITHOUT_DEVICE if topic is None else topic
    message = Message(topic=topic, payload=_payload(file), received_at=datetime.now(UTC))
    trace = normaliser.trace(message)
    if as_json:
        click.echo(as_json_text(trace.outcome, payload=message.payload, endpoint=endpoint))
    elif endpoint is not None and isinstance(trace.outcome, Reading):
        click.echo(request_text(_request(trace.outcome, message.payload, endpoint)))
    else:
        print_trace(trace, console=console())
    # Programs get an answer either way, because it holds the reason for the quarantine.
    context.exit(1 if isinstance(trace.outcome, Unreadable) and not as_json else 0)


def _payload(file: BinaryIO) -> bytes:
    if file.isatty():
        click.echo("reading from the terminal; Ctrl-D ends it", err=True)
    try:
        payload = file.read(LONGEST_PAYLOAD + 1)
    except OSError as unreadable:
        raise ConfigurationError(
            f"cannot read {printable(file.name)}: {unreadable.strerror}"
        ) from None
    if len(payload) > LONGEST_PAYLOAD:
        raise ConfigurationError("that is more than an MQTT message can hold (256 MiB)")
    return payload


def _endpoint(settings: Settings, name: str) -> Endpoint:
    """The endpoint as it is written today. Its secrets need not be here, because nothing is sent."""
    load = look_at_routes(settings.routes_file)
    if load.routes is None:
        raise ConfigurationError("\n".join(load.problems))
    return find_endpoint(load.routes, name)


def _request(outcome: Reading, payload: bytes, endpoint: Endpoint) -> Rendered | Unrenderable:
    identity = webhook_id(outcome.device, payload)
    received_at = outcome.received_at.timestamp()
    delivery = Delivery(
        reading=ReadingNumber(1),
        endpoint=endpoint.name,
        device=outcome.device,
        webhook_id=identity,
        measured_at=rfc3339(outcome.measured_at),
        received_at=received_at,
        age_from=received_at,
        attempts=0,
        data=encode_data(identity, outcome),
    )
    try:
        return render([delivery], endpoint=endpoint)
    except Unrenderable as nothing:
        return nothing


def as_json_text(
    outcome: Reading | Unreadable, *, payload: bytes, endpoint: Endpoint | None = None
) -> str:
    """
    `{"reading": …}` with the event's data object, or `{"quarantine": …}` with the reason.

    With an endpoint, `request` stands beside the reading: the endpoint's request, or `{"unrenderable": …}` and why.
    """
    if isinstance(outcome, Unreadable):
        return json.dumps({"quarantine": outcome.reason})
    data = encode_data(webhook_id(outcome.device, payload), outcome)
    reading = f'"reading":{plain_json(data.decode())}'
    if endpoint is None:
        return f"{{{reading}}}"
    return f'{{{reading},"request":{_request_object(_request(outcome, payload, endpoint))}}}'


def _request_object(request: Rendered | Unrenderable) -> str:
    if isinstance(request, Unrenderable):
        return json.dumps({"unrenderable": str(request)})
    return json.dumps({"headers": _headers(request), "body": request.body.decode()})


def _headers(request: Rendered) -> dict[str, str]:
    return {"content-type": request.content_type, "webhook-id": request.webhook_id}


def request_text(request: Rendered | Unrenderable) -> str:
    """An endpoint's request for people: the headers that depend on the reading, and the body as it is."""
    if isinstance(request, Unrenderable):
        return f"a dead letter, reason unrenderable: {plain(str(request))}"
    headers = [f"{name}: {value}" for name, value in _headers(request).items()]
    body = [plain(line) for line in request.body.decode().split("\n")]
    return "\n".join([*headers, "", *body])


def print_trace(trace: Trace, *, console: Console) -> None:
    """Write an outcome for people: the reading in words, then a row for each part of the payload."""
    console.print(Text(_headline(trace)), soft_wrap=not console.is_terminal)
    if trace.parts:
        console.print(_parts_table(trace.parts))
    if isinstance(trace.outcome, Reading) and trace.outcome.extra:
        console.print(
            Text("carried in extra: " + _shown(trace.outcome.extra, limit=None)),
            soft_wrap=not console.is_terminal,
        )


def _headline(trace: Trace) -> str:
    outcome = trace.outcome
    if isinstance(outcome, Unreadable):
        return f"quarantine: {outcome.reason}\n{plain(outcome.detail)}"
    time = f"{rfc3339(outcome.measured_at)} (from: {outcome.time_source})"
    return f"device {plain(outcome.device)} (named by the {trace.named_by}), measured at {time}"


def _parts_table(parts: tuple[Part, ...]) -> Grid:
    grid = Grid(dict(_COLUMNS))
    for part in parts:
        variable = part.use.variable
        cells = (part.place, _shown(part.sent), part.use.event_name, variable.unit, _note(part))
        grid.add_row(*map(cell, cells))
    return grid


def _note(part: Part) -> str:
    if part.is_absent:
        return "absent"
    if part.is_understood:
        return ""
    is_device = part.use.variable.kind == "device" and device_in_text(str(part.sent).strip())
    why = "does not count under this topic" if is_device else "not understood"
    return f"{why}, carried in extra"


def _shown(value: JsonValue, *, limit: int | None = _SHOWN_CHARACTERS) -> str:
    text = plain(json.dumps(value, ensure_ascii=False, default=str))
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
