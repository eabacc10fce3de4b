"""The cast of the demo: simulated devices, three recipients, and the routes between them."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from forwarder.demo.device import SimulatedDevice
from forwarder.demo.listener import Listener
from forwarder.demo.shapes import Shape, payload_of
from forwarder.reading import Device
from forwarder.routes.model import SigningKey

USERNAME = "whatwatt.integration.client.demoville"
TOPIC = "ext/demoville/#"
GROUP = "zurich"

_SHAPES: tuple[Shape, ...] = ("report", "variables", "small")
"""The device's own report, and two templates whose keys are known names, so that none needs a template file."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One endpoint with the receiver behind it."""

    name: str
    wants: str
    """The recipient's devices, in words."""
    routing: str
    """The recipient's devices, as routes.yaml names them."""
    devices: frozenset[Device]
    secret: str = field(repr=False)
    listener: Listener

    @property
    def secret_variable(self) -> str:
        return f"{self.name.upper()}_SECRET"


@dataclass(frozen=True, slots=True)
class Scene:
    """The cast. `home` wants one device, `acme` a group, `archive` every device."""

    fleet: tuple[SimulatedDevice, ...]
    home: Recipient
    acme: Recipient
    archive: Recipient

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        return (self.home, self.acme, self.archive)

    @property
    def group(self) -> tuple[Device, ...]:
        return tuple(sorted(self.acme.devices))


def set_scene(device_count: int) -> Scene:
    """A cast of `device_count` devices, at least 2, that publish in different shapes."""
    fleet = tuple(
        SimulatedDevice(index, payload_of(_SHAPES[index % len(_SHAPES)]))
        for index in range(device_count)
    )
    devices = [simulated.device for simulated in fleet]
    group = devices[: max(1, device_count // 2)]
    return Scene(
        fleet=fleet,
        home=_recipient("home", devices[0], f"devices: [{devices[0]}]", devices[:1]),
        acme=_recipient("acme", f"{len(group)} in {GROUP}", f"groups: [{GROUP}]", group),
        archive=_recipient("archive", f"all {len(devices)}", 'devices: "*"', devices),
    )


def _recipient(name: str, wants: str, routing: str, devices: Sequence[Device]) -> Recipient:
    key = SigningKey(secrets.token_bytes(32))
    secret = "whsec_" + base64.b64encode(key.secret).decode()
    listener = Listener(keys=[key])
    return Recipient(name, wants, routing, frozenset(devices), secret, listener)


def routes_yaml(scene: Scene) -> str:
    """The routing file as an operator would write it. Retries are quick, so that there is something to see."""
    head = [
        "groups:",
        f"  {GROUP}: [{', '.join(scene.group)}]",
        "defaults:",
        "  allow_private: true",
        "  retry: {initial: 500ms, max: 2s}",
        "endpoints:",
    ]
    entries = [
        f"  {recipient.name}:\n"
        f"    url: {recipient.listener.url}{recipient.name}\n"
        f"    secret: env:{recipient.secret_variable}\n"
        f"    {recipient.routing}"
        for recipient in scene.recipients
    ]
    return "\n".join([*head, *entries, ""])
