"""Line and Endpoints: one sentence on everything, and what it rests on."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.outbox_builder import NOW, OutboxBuilder
from support.routing import ENVIRON

from forwarder.endpoint_health import EndpointHealth
from forwarder.operator import EndpointStatus, Status
from forwarder.outbox import EndpointTotals
from forwarder.routes import load_routes
from forwarder.web.page.sentences import by_level, what_was_done, whether_all_is_well

Read = Callable[..., Awaitable[str]]


async def test_all_is_well(read: Read) -> None:
    """A quiet line says so, with the age of the last message."""
    words = await read("/")
    assert "All is well." in words
    assert "3s ago" in words


async def test_a_failing_endpoint_is_said_first(read: Read, built: OutboxBuilder) -> None:
    """On every view, and at the top of the list of endpoints."""
    built.delivery("home", "pending")
    built.health("home", EndpointHealth(9, NOW + 9000, failing_since=NOW, last_error="http_503"))
    assert "home is failing; its readings wait." in await read("/")
    words = await read("/endpoints")
    assert "home is failing" in words
    assert words.index("failing for 1h") < words.index("acme")


async def test_the_line_leads_to_endpoints(page: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """The worst in front, and those that are well."""
    built.delivery("home", "pending")
    built.health("home", EndpointHealth(9, NOW + 9000, failing_since=NOW, last_error="http_503"))
    line = (await page.get("/")).text
    assert 0 < line.index('href="/endpoints/home"') < line.index('href="/endpoints/acme"')


async def test_endpoints_are_found_by_a_part_of_their_name(
    page: httpx.AsyncClient, running: Any, tmp_path: Path, read: Read
) -> None:
    """A hundred at a time; a whole name leads to the endpoint itself."""
    file = tmp_path / "many.yaml"
    rule = '{url: "https://a.example/", secret: env:KEY, devices: "*"}'
    file.write_text("endpoints:\n" + "".join(f"  e{n:03}: {rule}\n" for n in range(250)))
    running.routes = load_routes(file, environ=ENVIRON)
    first = await read("/endpoints")
    assert ("e099" in first, "e100" in first, "More endpoints" in first) == (True, False, True)
    last = await read("/endpoints?from=200")
    assert ("e199" in last, "e249" in last, "More endpoints" in last) == (False, True, False)
    found = await read("/endpoints?q=24")
    assert ("e024" in found, "e249" in found, "e250" in found) == (True, True, False)
    assert "No endpoint has that in its name." in await read("/endpoints?q=nobody")
    assert (await page.get("/endpoints?q=e024")).headers["location"] == "/endpoints/e024"


async def test_the_numbers_are_those_of_status(read: Read, built: OutboxBuilder) -> None:
    """Delivered, pending and dead letters."""
    for state in ("delivered", "delivered", "dead", "pending"):
        built.delivery("acme", state)
    words = await read("/")
    assert "2 delivered" in words
    assert "1 pending" in words
    assert "1 dead letter" in words


def _status(**endpoints: EndpointStatus) -> Status:
    return Status(endpoints=endpoints)


WELL = EndpointStatus("closed", EndpointTotals("a", health=EndpointHealth(last_success_at=NOW)))
FAILING = EndpointStatus("open", EndpointTotals("a", health=EndpointHealth(9, NOW + 9)))
GONE = EndpointStatus("paused", EndpointTotals("a"), paused_by="gone")
PAUSED = EndpointStatus("paused", EndpointTotals("a"), paused_by="operator")
DEAD = EndpointStatus("closed", EndpointTotals("a"), dead_letters=2)
SENTENCES = [
    ({"a": WELL}, [], 0, "well", "All is well."),
    ({"a": WELL}, ["not subscribed to the broker"], 0, "trouble", "Not subscribed to the broker."),
    ({"a": FAILING}, [], 0, "trouble", "a is failing; its readings wait."),
    ({"a": FAILING, "b": FAILING}, [], 0, "trouble", "a and b are failing; their readings wait."),
    ({"a": FAILING, "b": FAILING, "c": FAILING}, [], 0, "trouble",
     "a and 2 other endpoints are failing; their readings wait."),
    ({"a": GONE}, [], 0, "trouble", "a has paused itself by a 410; its readings wait."),
    ({"a": WELL}, [], 2, "warning", "The routing file has 2 problems; the last good routes stay."),
    ({"a": PAUSED}, [], 0, "warning", "a needs a look; everything else is well."),
    ({}, [], 0, "warning", "No endpoint is in the routes yet, so nothing is delivered."),
    ({"a": DEAD}, [], 0, "warning", "The line is well; 2 dead letters wait for you."),
]  # fmt: skip


@pytest.mark.parametrize(("endpoints", "reasons", "problems", "level", "text"), SENTENCES)
def test_the_worst_is_said(
    endpoints: dict[str, EndpointStatus], reasons: list[str], problems: int, level: str, text: str
) -> None:
    """One sentence, the worst first: the broker, endpoints that fail, the file, what is paused, dead letters."""
    status = _status(**endpoints)
    said = whether_all_is_well(reasons, status, by_level(status), problems=problems)
    assert (said.level, said.text) == (level, text)


@pytest.mark.parametrize("did", ["you have been hacked", "replayed"])
def test_nobody_else_writes_what_was_done(did: str) -> None:
    """What stands in the address is said only where it is ours, and a number."""
    assert what_was_done(did, "<b>") is None
