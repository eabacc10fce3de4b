"""Attacks by routes, names and answers: where deliveries may go, and what a receiver may give away of what it got."""

import html
import json
import socket
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from urllib.parse import unquote

import pytest
from support.attack import Extent, Tried
from support.line import Line
from support.literals import hosts
from support.posting import endpoint_at, post, sending
from support.receiver import OK, Peer, answering, receiving
from support.webhooks import Webhooks

from forwarder.delivery import Accepted, Failed
from forwarder.sender import Guard
from forwarder.sender.failure import TransportFailure
from forwarder.sender.request import origin_of, parse_url
from forwarder.sender.resolve import Address

DOOR = "where deliveries go"


def where(host: str) -> list[Address]:
    """What would be dialled for a URL of this host without `allow_private`; names that are no address lead nowhere."""
    try:
        origin = origin_of(parse_url(f"https://{host}/"))
        found = socket.getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
        addresses = [Address(family, place) for family, _, _, _, place in found]  # type: ignore[arg-type] # as in resolve
        return Guard().permitted(addresses, allow_private=False)
    except (TransportFailure, OSError, UnicodeError):
        return []


def test_no_spelling_of_an_inner_address_is_dialled(tried: list[Tried]) -> None:
    """As the operating system reads each of them, IPv6 forms that carry IPv4 included, ISATAP too."""
    literals = list(hosts())
    assert [host for host in literals if where(host)] == []
    assert where("1.1.1.1")
    tried.append(Tried(DOOR, "inner addresses in every spelling", len(literals), "none dialled"))


async def test_name_that_flips_reaches_nothing_inside(extent: Extent, tried: list[Tried]) -> None:
    """A name server that answers with a good address and then an inner one, or with both, over many connects."""
    dials = 900 if extent == "full" else 60
    goodbye = OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    async with receiving(answering(goodbye)) as receiver, receiving() as victim:
        good = Address(socket.AF_INET, ("127.0.0.1", receiver.port))
        inner = [
            Address(socket.AF_INET, ("169.254.169.254", victim.port)),
            Address(socket.AF_INET, ("0.0.0.0", victim.port)),
            Address(socket.AF_INET6, ("::ffff:0.0.0.0", victim.port, 0, 0)),
            Address(socket.AF_INET6, ("::127.0.0.1", victim.port, 0, 0)),
            Address(socket.AF_INET6, ("64:ff9b::7f00:1", victim.port, 0, 0)),
        ]
        answers = cycle([[good], *([each] for each in inner), *([each, good] for each in inner)])

        class Flipping:
            async def resolve(self, host: str, port: int) -> Sequence[Address]:
                return next(answers)

        endpoint = endpoint_at("http://rebind.example/")
        async with sending(resolver=Flipping()) as sender:
            results = [await post(sender, endpoint) for _ in range(dials)]
        assert victim.connections == 0
        assert {each.address for each in results if isinstance(each, Accepted)} == {"127.0.0.1"}
        refused = [each for each in results if isinstance(each, Failed)]
        assert {each.error for each in refused} == {"blocked_address"}
    outcome = f"{len(refused)} refused, the others went to the good address"
    tried.append(Tried(DOOR, "names that flip, and mixed answers", dials, outcome))


async def test_routes_cannot_lift_the_operators_networks(line: Line, tried: list[Tried]) -> None:
    """allow_private, an IPv4-mapped spelling, our own HTTP port: status says blocked_address, and the line goes on."""
    good = await line.receiver("good")
    async with receiving() as victim:
        forbidden = {
            "denied": f"http://127.0.0.9:{victim.port}/",
            "mapped": f"http://[::ffff:127.0.0.9]:{victim.port}/",
            "hexadecimal": f"http://[::ffff:7f00:9]:{victim.port}/",
            "ourselves": f"http://{line.service.address}/healthz",
        }
        for name, url in forbidden.items():
            line.name_endpoint(Webhooks(name, port=1))
            line.endpoints[name]["url"] = url
        line.service.settings["FORWARDER_DENY_NETWORKS"] = "127.0.0.9/32, 10.0.0.0/8"
        await line.start()
        await line.publish(3)
        await good.until_count(3)
        for name in forbidden:
            await line.service.logged("delivery.attempted", endpoint=name, error="blocked_address")
        status = await line.service.status()
        assert {status["endpoints"][name]["last_error"] for name in forbidden} == {
            "blocked_address"
        }
        assert victim.connections == 0
    shown = await line.service.command("deliveries", "list", "--endpoint", "good", "--json")
    first = json.loads(shown.stdout)[0]["id"]
    shown = await line.service.command("deliveries", "show", first, "--endpoint", "good", "--json")
    assert json.loads(shown.stdout)["history"][0]["address"] == "127.0.0.1"
    tried.append(
        Tried(DOOR, "routes to denied networks and to ourselves", len(forbidden), "all refused")
    )


TOKEN, SIGNATURE, HEADER, BEARER = (
    "XXXXSECRETTOKEN",
    "a+b/c4711==",
    'va"lue\\secret',
    "b3arer-t0ken",
)


async def echoing(peer: Peer) -> None:
    """Answer 400 with everything that came: as it was, decoded, in JSON and in HTML."""
    while True:
        request = await peer.request()
        came = [request.line, *(f"{name}: {value}" for name, value in request.headers)]
        forms = [*came, *map(unquote, came), json.dumps(came), *map(html.escape, came)]
        # What was told in confidence first: only the start of an answer is kept.
        forms.sort(key=lambda form: form.startswith(("webhook", "content", "host", "accept")))
        body = "\n".join(forms).encode()
        await peer.send(b"HTTP/1.1 400 No\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture
async def echoed(line: Line) -> Sequence[str]:
    """What an endpoint is told in confidence, in the forms in which it may come back."""
    line.name_endpoint(Webhooks("echo", port=1))
    line.endpoints["echo"] |= {
        "url": f"/services/T000/B000/{TOKEN}?sig=a%2Bb%2Fc4711%3D%3D&b=1",
        "headers": {"x-key": HEADER},
        "auth": {"bearer": BEARER},
    }
    encoded = (json.dumps(HEADER)[1:-1], html.escape(HEADER), "a%2Bb%2Fc4711")
    return (TOKEN, SIGNATURE, HEADER, BEARER, *encoded)


async def test_echo_of_url_and_headers_is_neither_stored_nor_shown(
    line: Line, echoed: Sequence[str], tried: list[Tried]
) -> None:
    """The outbox, the log and every command that shows an answer hold `***` where a receiver repeats a secret."""
    async with receiving(echoing) as receiver:
        path = line.endpoints["echo"]["url"]
        line.endpoints["echo"]["url"] = f"http://127.0.0.1:{receiver.port}{path}"
        await line.start()
        await line.publish(3)
        await line.service.settled("echo", lambda totals: totals.dead == 3)
        sent = await line.service.command("send-test", "echo", "--json")
        listed = await line.service.command("dead-letters", "list", "--json")
        for letter in json.loads(listed.stdout):
            for command in ("dead-letters", "deliveries"):
                which = (command, "show", letter["id"], "--endpoint", letter["endpoint"])
                shown = await line.service.command(*which, "--json")
                assert "***" in json.loads(shown.stdout)["history"][0]["answer"]
                await line.service.command(*which)
        assert "***" in sent.stdout
        await line.service.stop()
    assert [secret for secret in echoed if secret in line.service.output] == []
    assert [secret for secret in echoed if secret.encode() in stored(line.service.outbox)] == []
    outcome = "`***` in the outbox, the log and what commands show"
    tried.append(Tried("receivers' answers", "echoes of URL and headers", len(echoed), outcome))


def stored(outbox: Path) -> bytes:
    """Every byte of the outbox and of what stands beside it."""
    return b"".join(path.read_bytes() for path in outbox.parent.glob(f"{outbox.name}*"))
