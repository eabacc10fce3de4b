"""A harness for the API and the page without a service: routes, a line, and the resources that they ask."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from support.outbox_builder import NOW
from support.routing import ENVIRON
from support.transports import AnyReceiver

from forwarder.api import Resources, Situation
from forwarder.normalise import Normaliser
from forwarder.routes import Routes, load_routes
from forwarder.web.page import Pulse

_ROUTES = """\
groups:
  zurich: [ECC9FF5C7AD4]
endpoints:
  acme: {url: "https://a.example/", secret: env:KEY, devices: "*"}
  home: {url: "https://h.example/", secret: env:KEY, groups: [zurich]}
"""


def _readiness() -> dict[str, Any]:
    return {
        "ready": True,
        "reasons": [],
        "warnings": [],
        "mqtt": {"connected": True, "subscribed": True, "since": "2025-11-18T10:00:00Z", "problem": None},
        "outbox": {"problem": None},
        "routes": {"endpoints": 2, "problems": 0, "first": None},
    }  # fmt: skip


@dataclass
class RunningLine:
    """A stand-in for the running service."""

    routes: Routes
    readiness: dict[str, Any] = field(default_factory=_readiness)
    problem: str | None = None
    last_message_at: float | None = NOW + 3597

    def situation(self) -> Situation:
        return Situation(self.readiness, self.routes, self.problem, NOW + 3600)

    def pulse(self) -> Pulse:
        return Pulse(tuple(self.readiness["reasons"]), self.last_message_at, 1 << 20, 1 << 30, NOW)


def running_line(folder: Path) -> RunningLine:
    """A line with two endpoints, of which one gets a single device."""
    file = folder / "routes.yaml"
    file.write_text(_ROUTES)
    return RunningLine(load_routes(file, environ=ENVIRON))


def resources_of(outbox: Path, receiver: AnyReceiver, *, page_url: str, **limits: int) -> Resources:
    """The resources behind the API and the page; test events go to `receiver`."""
    return Resources(
        outbox_place=outbox,
        normaliser=_normaliser(trusts=False),
        trusting=_normaliser(trusts=True),
        page_url=page_url,
        transports=lambda: lambda _: httpx.MockTransport(receiver),
        **limits,
    )


def _normaliser(*, trusts: bool) -> Normaliser:
    return Normaliser(
        timezone=ZoneInfo("Europe/Zurich"),
        max_message_bytes=65536,
        trusts_payload_device=trusts,
        template=None,
    )
