"""What the files for deployment say about the program is true."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder import __version__
from forwarder.clock import SystemClock
from forwarder.routes import RoutesFile
from forwarder.settings import Settings

REPOSITORY = Path(__file__).parents[2]
KUBERNETES = REPOSITORY / "deploy/kubernetes"
SECRET = "whsec_" + "dGVzdCBrZXkgb2YgdGhlIGRlcGxveW1lbnQgdGVzdHM="

FILES = [
    "Dockerfile",
    "compose.yaml",
    "compose.demo.yaml",
    "deploy/kubernetes/settings.yaml",
    "deploy/kubernetes/statefulset.yaml",
    "deploy/systemd/forwarder.env",
    "docs/deploy.md",
]
NOT_FOR_THE_PROGRAM = {"FORWARDER_PORT", "FORWARDER_SERVICE_HOST"}


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("name", FILES)
def test_every_setting_exists(name: str) -> None:
    """A setting that a file for deployment names is one that the program knows."""
    known = {"FORWARDER_" + field.upper() for field in Settings.model_fields}
    named = set(re.findall(r"FORWARDER_[A-Z_]*[A-Z]", (REPOSITORY / name).read_text()))
    unknown = {setting.removesuffix("_FILE") for setting in named - NOT_FOR_THE_PROGRAM - known}
    assert unknown <= known


def test_every_image_is_of_this_version() -> None:
    """Compose files and manifests name the image that `make image` builds."""
    services = [document(REPOSITORY / name)["services"] for name in FILES[1:3]]
    images = {service["forwarder"]["image"] for service in services}
    kustomized = document(KUBERNETES / "kustomization.yaml")["images"][0]["newTag"]
    assert images == {f"whatwatt-forwarder:{__version__}"}
    assert kustomized == __version__


def test_every_manifest_is_applied() -> None:
    """kustomize takes every manifest but the example of a Secret."""
    there = {path.name for path in KUBERNETES.glob("*.yaml")}
    applied = set(document(KUBERNETES / "kustomization.yaml")["resources"])
    assert there - applied == {"kustomization.yaml", "secret.example.yaml"}


def test_routes_of_kubernetes_are_valid(tmp_path: Path) -> None:
    """The ConfigMap holds a routing file that the program takes."""
    text = document(KUBERNETES / "routes.yaml")["data"]["routes.yaml"]
    (tmp_path / "acme").write_text(SECRET)
    path = tmp_path / "routes.yaml"
    path.write_text(text.replace("/run/secrets/", ""))
    assert RoutesFile(path, environ={}, clock=SystemClock()).load().endpoints


def test_routes_of_the_demo_are_valid() -> None:
    """The demo's routing file, with its key beside it, is taken as it is."""
    file = RoutesFile(REPOSITORY / "deploy/demo/routes.yaml", environ={}, clock=SystemClock())
    assert list(file.load().endpoints) == ["receiver"]


def test_service_can_drain_before_it_is_killed() -> None:
    """Everybody who stops the service waits longer than it may take to drain."""
    drain_seconds = Settings.model_fields["drain_timeout"].default
    pod = document(KUBERNETES / "statefulset.yaml")["spec"]["template"]["spec"]
    compose = document(REPOSITORY / "compose.yaml")["services"]["forwarder"]
    unit = (REPOSITORY / "deploy/systemd/whatwatt-forwarder.service").read_text()
    waits = [
        float(pod["terminationGracePeriodSeconds"]),
        float(compose["stop_grace_period"].removesuffix("s")),
        float(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]),
    ]
    assert min(waits) >= 2 * drain_seconds + 5
