"""500 readings and more, while routes are edited, the broker moves and the service is killed."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.container_project import routes
from support.containers import DEMO_IMAGE, Container, Project, until

pytestmark = pytest.mark.timeout(300)

DEVICES, AT_LEAST = 25, 500
TO_THE_BROKER = (
    "-e",
    "FORWARDER_MQTT_URI=mqtt://broker",
    "-e",
    "FORWARDER_MQTT_TOPIC=ext/example/#",
)


class Receiver:
    """What the receiver accepted, by endpoint, repeats included."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def readings(self, endpoint: str) -> list[dict[str, Any]]:
        return [line for line in self._container.log() if line["path"] == f"/{endpoint}"]

    def ids(self, endpoint: str) -> set[str]:
        return {reading["id"] for reading in self.readings(endpoint)}

    def has(self, count: int, *, of: str) -> None:
        """Return once so many different readings have come."""
        until(lambda: len(self.ids(of)) >= count, otherwise=lambda: f"{len(self.ids(of))} came")


@pytest.fixture
def receiver(project: Project) -> Receiver:
    return Receiver(project.container("receiver"))


@pytest.fixture
def devices(project: Project) -> Iterator[Container]:
    """Simulated devices, which begin when the service is subscribed and publish until they are stopped."""
    service = project.container("forwarder")
    project.have_names_answered()
    until(lambda: "mqtt.subscribed" in service.text(), otherwise=service.last_words)
    words = ["simulate", "--devices", str(DEVICES), "--interval", "2s"]
    simulated = project.run(*TO_THE_BROKER, DEMO_IMAGE, *words)
    project.have_names_answered()
    yield simulated
    simulated.remove()


def edit_in_place(folder: Path, text: str) -> None:
    (folder / "config/routes.yaml").write_text(text)


def edit_as_editors_do(folder: Path, text: str) -> None:
    (folder / "config/routes.yaml.new").write_text(text)
    (folder / "config/routes.yaml.new").rename(folder / "config/routes.yaml")


def move_broker(project: Project) -> None:
    """Start the broker again at another address: a container takes the one it had."""
    broker = project.container("broker")
    before = broker.address()
    broker.stop()
    squatter = project.run(DEMO_IMAGE, "listen")
    broker.start()
    after = broker.address()
    squatter.remove()
    project.have_names_answered()
    assert after != before


def totals(service: Container) -> dict[str, Any]:
    """What the service itself counts for the endpoint that gets everything."""
    status = json.loads(service.engine("exec", service.id, "forwarder", "status", "--json"))
    counted: dict[str, Any] = status["endpoints"]["archive"]
    return counted


def test_nothing_is_lost(project: Project, receiver: Receiver, devices: Container) -> None:
    """Every reading arrives, whatever happens to routes, broker and service on the way."""
    service = project.container("forwarder")
    receiver.has(50, of="archive")
    edit_in_place(project.folder, routes("archive", "partner"))
    receiver.has(20, of="partner")
    move_broker(project)
    receiver.has(len(receiver.ids("archive")) + 50, of="archive")
    service.kill("KILL")
    service.start()
    project.have_names_answered()
    receiver.has(len(receiver.ids("archive")) + 50, of="archive")
    edit_as_editors_do(project.folder, routes("archive", "auditor"))
    receiver.has(20, of="auditor")
    receiver.has(AT_LEAST, of="archive")
    assert devices.is_running, "they were to publish all the while"
    devices.stop()
    published = int(devices.text().split()[-3])
    receiver.has(published, of="archive")
    until(lambda: totals(service)["pending"] == 0, otherwise=service.last_words)
    assert totals(service)["delivered"] == totals(service)["enqueued"] == published
    examine(receiver.readings("archive"), published)
    assert "mqtt.session_lost" not in service.text()
    assert service.stop() == 0


def examine(readings: list[dict[str, Any]], published: int) -> None:
    """Each reading is there, verified, and first came in the order of its device."""
    assert all(reading["verified"] for reading in readings)
    firsts: dict[str, dict[str, Any]] = {}
    for reading in readings:
        firsts.setdefault(reading["id"], reading)
    order = defaultdict(list)
    for reading in firsts.values():
        order[reading["device"]].append(reading["measured_at"])
    assert len(order) == DEVICES
    assert sum(map(len, order.values())) == published
    assert all(times == sorted(times) for times in order.values())
