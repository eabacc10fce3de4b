"""A harness of the whole line: devices, mosquitto, the forwarder's process, receivers; a test may break each."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from support.mosquitto import Mosquitto
from support.publisher import Publisher
from support.service import Service
from support.webhooks import Policy, Webhooks, listening

from forwarder.demo.device import device_at
from forwarder.reading import Device, WebhookId, webhook_id

USERNAME = "whatwatt.integration.client.partner"
PASSWORD = "broker-password-8f31"
QUICK_RETRY = {"initial": "20ms", "max": "100ms"}
UNLIMITED_QUEUE = ("max_queued_messages 0",)
"""No limit, because mosquitto's own of 1000 messages for an absent client would lose what a test publishes."""
PACE_SECONDS = 0.01


@dataclass
class Fleet:
    """Devices that number their readings from 1, and remember the published ones in order."""

    size: int = 10
    issued: dict[Device, list[WebhookId]] = field(default_factory=lambda: defaultdict(list))
    _numbers: int = 0

    @property
    def devices(self) -> list[Device]:
        return [device_at(index) for index in range(self.size)]

    @property
    def count(self) -> int:
        return sum(map(len, self.issued.values()))

    def readings(
        self, count: int, *, device: Device | None = None, padding: str = ""
    ) -> Iterator[tuple[str, bytes]]:
        """The next messages, as topic and payload; the devices take turns."""
        for _ in range(count):
            self._numbers += 1
            publishing = device or self.devices[self._numbers % self.size]
            payload = self._payload(publishing, padding)
            self.issued[publishing].append(webhook_id(publishing, payload))
            yield topic_of(publishing), payload

    def _payload(self, device: Device, padding: str) -> bytes:
        content = {
            "sys.id": device,
            "timestamp": 1763461060 + self._numbers,
            "1_7_0": self._numbers / 1000,
            "number": self._numbers,
            "padding": padding,
        }
        return json.dumps(content).encode()


def topic_of(device: Device) -> str:
    return f"ext/partner/{device}"


class Line:
    """
    A running broker, a service that is not started yet, and the receivers that its routes name.

    `routes` is the routing file as an object; `write_routes` makes it a file.
    """

    def __init__(
        self, folder: Path, stack: AsyncExitStack, *, broker_settings: Sequence[str] = ()
    ) -> None:
        self._stack = stack
        self.folder = folder
        self.fleet = Fleet()
        self.secrets = {PASSWORD}
        """Secrets that must never show anywhere."""
        self.routes: dict[str, Any] = {"endpoints": {}}
        self.routes_file = folder / "routes.yaml"
        self.broker = Mosquitto(
            folder / "broker",
            users={USERNAME: PASSWORD, "device": PASSWORD},
            persistence=True,
            settings=[*UNLIMITED_QUEUE, *broker_settings],
        )
        self.service = self.another_service()

    def another_service(self, **settings: str) -> Service:
        """A service on this broker and this folder."""
        own = {
            "FORWARDER_MQTT_URI": self.broker.uri,
            "FORWARDER_MQTT_USERNAME": USERNAME,
            "FORWARDER_MQTT_PASSWORD": PASSWORD,
        }
        return Service(self.folder, own | settings)

    @property
    def endpoints(self) -> dict[str, dict[str, Any]]:
        endpoints: dict[str, dict[str, Any]] = self.routes["endpoints"]
        return endpoints

    async def receiver(self, name: str, policy: Policy | None = None, **settings: Any) -> Webhooks:
        """A receiver that listens and that the routes name with these settings."""
        webhooks = await self.listen(Webhooks(name))
        if policy is not None:
            webhooks.policy = policy
        self.name_endpoint(webhooks, **settings)
        return webhooks

    async def listen(self, webhooks: Webhooks) -> Webhooks:
        return await self._stack.enter_async_context(listening(webhooks))

    def name_endpoint(self, webhooks: Webhooks, **settings: Any) -> None:
        """Name a receiver in the routes; the file is not written yet."""
        self.secrets |= {webhooks.secret.removeprefix("whsec_"), webhooks.key}
        self.endpoints[webhooks.name] = {
            "url": webhooks.url,
            "secret": webhooks.secret,
            "devices": "*",
            "allow_private": True,
            "retry": QUICK_RETRY,
            **settings,
        }

    def write_routes(self) -> None:
        self.routes_file.write_text(self.routes_text())

    def routes_text(self) -> str:
        return yaml.safe_dump(self.routes, sort_keys=False)

    async def start(self) -> None:
        """Write the routes and start the service; return once it is ready."""
        self.write_routes()
        await self.service.start_ready()

    async def publish(
        self, count: int = 1, *, device: Device | None = None, padding: str = ""
    ) -> None:
        """Have the fleet publish so many readings; return once the broker has taken them."""
        readings = self.fleet.readings(count, device=device, padding=padding)
        await self.publish_messages(list(readings))

    async def publish_messages(self, messages: list[tuple[str, bytes]], *, qos: int = 1) -> None:
        def publish() -> None:
            with Publisher(self.broker.broker(), username="device") as publisher:
                publisher.publish_each(messages, qos=qos)

        await asyncio.to_thread(publish)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Messages flow while the block runs, at a steady pace."""
        flow = asyncio.create_task(self._flow())
        try:
            yield
        finally:
            flow.cancel()
            with suppress(asyncio.CancelledError):
                await flow

    async def _flow(self) -> None:
        with Publisher(self.broker.broker(), username="device") as publisher:
            while True:
                publisher.publish_later(self.fleet.readings(1))
                await asyncio.sleep(PACE_SECONDS)


@asynccontextmanager
async def a_line(folder: Path, *, broker_settings: Sequence[str] = ()) -> AsyncIterator[Line]:
    """A line with a running broker; `broker_settings` are further lines of mosquitto.conf."""
    async with AsyncExitStack() as stack:
        line = Line(folder, stack, broker_settings=broker_settings)
        stack.enter_context(line.broker)
        await stack.enter_async_context(line.service)
        yield line


def assert_told_once_in_order(webhooks: Webhooks, issued: Mapping[Device, list[WebhookId]]) -> None:
    """
    Check that every published reading arrived, and nothing else, in order per device and under one id.

    A reading may have been posted and even taken several times, but always with the same body.
    """
    assert webhooks.forged == []
    assert webhooks.devices == issued
    bodies = defaultdict(set)
    for post in webhooks.posts:
        bodies[post.webhook_id].add(post.body)
    assert [key for key, different in bodies.items() if len(different) > 1] == []


def assert_balanced(status: Mapping[str, Any]) -> None:
    """Check that the totals of every endpoint add up."""
    for name, endpoint in status["endpoints"].items():
        left = sum(
            endpoint[total] for total in ("delivered", "dead", "expired", "superseded", "pending")
        )
        assert endpoint["enqueued"] == left, (name, endpoint)
