"""`forwarder send-test`: one signed `webhook.test` event to one endpoint, and what came back."""

import asyncio
import json
import time
from datetime import UTC, datetime

import click

from forwarder.delivery import Accepted, AttemptResult, Failed, Unsent
from forwarder.errors import ConfigurationError, ForwarderError
from forwarder.render import TEST_DEVICE, render_test
from forwarder.routes import load_routes
from forwarder.routes.model import Endpoint, EndpointName, Routes
from forwarder.routes.problems import nearest
from forwarder.sender import Guard, Sender, pooled_transports
from forwarder.settings import environment, load_settings
from forwarder.signing import signature_headers
from forwarder.terminal import plain

SHOWN_CHARACTERS = 400

ADVICE = {
    "dns": "check the host in its url, and the name server of this machine",
    "refused": "nothing listens there: check the port in its url, and that the receiver runs",
    "reset": "look into the receiver's log, and that of any proxy before it",
    "unreachable": "check the network and the firewalls between here and there",
    "tls": "check the receiver's certificate; for a private CA set the endpoint's tls.ca_file",
    "timeout": "a receiver answers first and works after; else raise the endpoint's timeout",
    "protocol": "check that its url names an HTTP server, and whether it is http or https",
    "blocked_address": "if the receiver is meant to be in a private network, set allow_private: true;"
    " the networks of FORWARDER_DENY_NETWORKS and FORWARDER_ALLOW_NETWORKS are the operator's",
    "proxy": "check FORWARDER_PROXY_URL, and whether the proxy may reach the receiver",
    "client_certificate": "check the endpoint's tls.cert_file and tls.key_file",
    "http_401": "compare the endpoint's secret and auth with what the receiver expects",
    "http_403": "compare the endpoint's secret and auth with what the receiver expects",
    "http_404": "check the path in its url",
    "http_405": "check the path in its url: what is there takes no POST",
    "http_410": "the receiver wants nothing more; readings answered so pause the endpoint",
    "http_429": "the receiver wants less at once: set the endpoint's rate_limit",
    "http_501": "check its url: what is there takes no POST",
    "http_3xx": "redirects are not followed: put the address it redirects to into its url",
    "http_4xx": "look into the receiver's log; 400, 413, 414, 415 and 422 would make a reading a dead letter",
    "http_5xx": "look into the receiver's log; readings answered so are tried again",
}
"""What to do about each way in which an attempt can fail."""


@click.command("send-test")
@click.argument("name", metavar="ENDPOINT")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(context: click.Context, name: str, *, as_json: bool) -> None:
    """Send one signed webhook.test event to ENDPOINT and show its answer; exit 0 when that is a 2xx."""
    settings = load_settings()
    endpoint = find_endpoint(load_routes(settings.routes_file, environ=environment()), name)
    proxy = settings.proxy_url.get_secret_value() if settings.proxy_url else None
    guard = Guard(settings.deny_networks, settings.allow_networks, settings.listen_address)
    sender = Sender(pooled_transports(proxy_url=proxy, guard=guard))
    result, seconds = asyncio.run(attempt(endpoint, sender=sender))
    describe = as_object if as_json else as_sentences
    click.echo(describe(endpoint.name, result, seconds=seconds))
    context.exit(0 if isinstance(result, Accepted) else 1)


def find_endpoint(routes: Routes, name: str) -> Endpoint:
    """The endpoint of that name. Raises ConfigurationError that tells the nearest one."""
    endpoint = routes.endpoints.get(EndpointName(name))
    if endpoint is None:
        hint = nearest(name, routes.endpoints) or f"; there are: {', '.join(routes.endpoints)}"
        raise ConfigurationError(f"there is no endpoint {name!r}{hint}")
    return endpoint


async def attempt(endpoint: Endpoint, *, sender: Sender) -> tuple[AttemptResult, float]:
    """What the endpoint made of a test event, and the seconds that took; closes the sender."""
    now = datetime.now(UTC)
    rendered = render_test(endpoint, now=now)
    signed = signature_headers(
        rendered.webhook_id,
        unix_second=int(now.timestamp()),
        attempt=1,
        body=rendered.body,
        keys=endpoint.keys,
    )
    headers = [("content-type", rendered.content_type), *signed]
    started = time.monotonic()
    try:
        result = await sender.post(
            endpoint, url=endpoint.url_for(TEST_DEVICE), headers=headers, body=rendered.body
        )
        if isinstance(result, Unsent):
            raise ForwarderError(
                "no file descriptor is free; raise the limit of open files (ulimit -n)"
            )
        return result, time.monotonic() - started
    finally:
        await sender.aclose()


def as_object(name: str, result: AttemptResult, *, seconds: float) -> str:
    """One JSON object; `error` and `detail` are null unless the attempt failed."""
    failed = result if isinstance(result, Failed) else None
    return json.dumps(
        {
            "endpoint": name,
            "ok": isinstance(result, Accepted),
            "status": result.status,
            "error": None if isinstance(result, Accepted) else error_word(result),
            "detail": failed.detail or None if failed else None,
            "address": result.address,
            "answer": result.answer.decode(errors="replace"),
            "duration_ms": round(seconds * 1000),
        }
    )


def as_sentences(name: str, result: AttemptResult, *, seconds: float) -> str:
    """What a person wants to know: the outcome, the start of the answer, and what to do."""
    lines = [f"{name} {_outcome(result)} after {round(seconds * 1000)} ms"]
    if result.answer:
        lines.append(f"  its answer: {_start(result.answer)}")
    if not isinstance(result, Accepted):
        lines.append(f"  {advice(error_word(result))}")
    return "\n".join(lines)


def error_word(result: AttemptResult) -> str:
    return result.error if isinstance(result, Failed) else f"http_{result.status}"


def advice(word: str) -> str:
    family = word[: len("http_4")] + "xx"
    return ADVICE.get(word) or ADVICE.get(family) or "look into the receiver's log"


def _start(answer: bytes) -> str:
    text = answer.decode(errors="replace")[:SHOWN_CHARACTERS]
    return plain(" ".join(text.split()))


def _outcome(result: AttemptResult) -> str:
    if result.status is not None:
        return f"answered {result.status}"
    assert isinstance(result, Failed)  # noqa: S101 - the others always carry a status
    return f"gave no answer ({result.error}: {plain(result.detail)})"
