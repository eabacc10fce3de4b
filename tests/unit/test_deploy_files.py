"""What the files for deployment say about the program is true."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder import __version__
from forwarder.addresses import classify_address
from forwarder.clock import SystemClock
from forwarder.routes import RoutesFile
from forwarder.settings import Database, Settings, outbox_place, settings_of

REPOSITORY = Path(__file__).parents[2]
KUBERNETES = REPOSITORY / "deploy/kubernetes"
REPLICAS = REPOSITORY / "deploy/kubernetes-replicas"
SECRET = "whsec_" + "dGVzdCBrZXkgb2YgdGhlIGRlcGxveW1lbnQgdGVzdHM="

FILES = [
    "Dockerfile",
    "compose.yaml",
    "compose.demo.yaml",
    "compose.postgresql.yaml",
    "deploy/kubernetes/settings.yaml",
    "deploy/kubernetes/statefulset.yaml",
    "deploy/kubernetes-replicas/deployment.yaml",
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
    services = [document(REPOSITORY / name)["services"] for name in FILES[1:4]]
    images = {
        service["image"]
        for every in services
        for name, service in every.items()
        if name.startswith("forwarder")
    }
    kustomized = {
        document(folder / "kustomization.yaml")["images"][0]["newTag"]
        for folder in (KUBERNETES, REPLICAS)
    }
    assert images == {f"whatwatt-forwarder:{__version__}"}
    assert kustomized == {__version__}


@pytest.mark.parametrize("folder", [KUBERNETES, REPLICAS])
def test_every_manifest_is_applied(folder: Path) -> None:
    """kustomize takes every manifest but the example of a Secret."""
    there = {path.name for path in folder.glob("*.yaml")}
    applied = set(document(folder / "kustomization.yaml")["resources"])
    assert there - applied == {"kustomization.yaml", "secret.example.yaml"}


def test_replicas_are_the_one_pod_on_a_database() -> None:
    """The Deployment's pods are the StatefulSet's, without its volume, with the database's URL, and apart."""
    one = document(KUBERNETES / "statefulset.yaml")["spec"]["template"]
    many = document(REPLICAS / "deployment.yaml")["spec"]["template"]
    del many["spec"]["topologySpreadConstraints"]
    (container,), (alone,) = many["spec"]["containers"], one["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container.pop("env")}
    (secrets,) = [one for one in many["spec"]["volumes"] if one["name"] == "secrets"]
    sources = [source["secret"]["name"] for source in secrets.pop("projected")["sources"]]
    secrets["secret"] = {"secretName": sources[0], "defaultMode": 0o440}
    mounts = alone["volumeMounts"]
    alone["volumeMounts"] = [mount for mount in mounts if mount["name"] != "outbox"]
    assert many == one
    assert environment == {
        "FORWARDER_OUTBOX_URL": "",
        "FORWARDER_OUTBOX_URL_FILE": "/run/secrets/outbox_url",
    }
    secret = document(REPLICAS / "secret.example.yaml")
    assert secret["metadata"]["name"] == sources[1]
    assert isinstance(outbox_place(secret["stringData"]["outbox_url"]), Database)


def test_file_stands_in_for_the_image_s_own_outbox(tmp_path: Path) -> None:
    """An empty FORWARDER_OUTBOX_URL leaves the place to the file, with the newline that editors put at its end."""
    file = tmp_path / "outbox_url"
    file.write_text("postgresql://db/forwarder\n")
    environ = {"FORWARDER_OUTBOX_URL": "", "FORWARDER_OUTBOX_URL_FILE": str(file)}
    assert settings_of(environ).outbox_place == Database("postgresql://db/forwarder")


def test_replicas_of_compose_differ_in_name_alone() -> None:
    """Three on one database, by way of both of its servers, each with a port of its own."""
    services = document(REPOSITORY / "compose.postgresql.yaml")["services"]
    replicas = {name: one for name, one in services.items() if name.startswith("forwarder")}
    names = {one["environment"].pop("FORWARDER_REPLICA_NAME") for one in replicas.values()}
    ports = {port for one in replicas.values() for port in one.pop("ports")}
    assert names == replicas.keys()
    assert (len(ports), len({repr(one) for one in replicas.values()})) == (3, 1)
    url = (REPOSITORY / "deploy/demo/outbox_url").read_text().strip()
    place = outbox_place(url)
    assert isinstance(place, Database)
    servers = {"postgres", "standby"} & services.keys()
    assert {server for server in servers if f"{server}:5432" in str(place)} == servers
    assert "target_session_attrs=read-write" in url


def test_drained_nodes_leave_replicas() -> None:
    """The budget is about the Deployment's pods, and lets one of three go at a time."""
    deployment = document(REPLICAS / "deployment.yaml")["spec"]
    budget = document(REPLICAS / "poddisruptionbudget.yaml")["spec"]
    assert budget["selector"] == deployment["selector"]
    assert budget["maxUnavailable"] < deployment["replicas"] == 3


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
    pods = [
        document(manifest)["spec"]["template"]["spec"]
        for manifest in (KUBERNETES / "statefulset.yaml", REPLICAS / "deployment.yaml")
    ]
    compose = document(REPOSITORY / "compose.yaml")["services"]["forwarder"]
    unit = (REPOSITORY / "deploy/systemd/whatwatt-forwarder.service").read_text()
    waits = [
        *(float(pod["terminationGracePeriodSeconds"]) for pod in pods),
        float(compose["stop_grace_period"].removesuffix("s")),
        float(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]),
    ]
    assert min(waits) >= 2 * drain_seconds + 5


def may_be_reached(ip: str) -> bool:
    """Whether the NetworkPolicy lets HTTPS out to this address."""
    address = ip_address(ip)
    rules = document(KUBERNETES / "networkpolicy.yaml")["spec"]["egress"]
    blocks = [to["ipBlock"] for rule in rules for to in rule["to"] if "ipBlock" in to]
    return any(
        address in ip_network(block["cidr"])
        and not any(address in ip_network(hole) for hole in block["except"])
        for block in blocks
    )


@pytest.mark.parametrize(
    "ip",
    [
        "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "168.63.129.16", "169.254.169.254", "172.16.0.1",
        "192.0.0.192", "192.168.0.1", "224.0.0.1", "239.255.255.250", "255.255.255.255", "0.0.0.0",
        "::1", "::127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:a00:1::1", "fc00::1",
        "2001:0:101:101::80ff:fffe", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
    ],
)  # fmt: skip
def test_network_policy_stands_behind_the_guard(ip: str) -> None:
    """What the guard does not dial without permission the cluster does not let out either."""
    assert classify_address(ip_address(ip)) != "public"
    assert not may_be_reached(ip)


@pytest.mark.parametrize("ip", ["1.1.1.1", "223.255.255.1", "2606:4700::1111", "2a00::1"])
def test_network_policy_lets_out_to_the_public_internet(ip: str) -> None:
    """Receivers are there."""
    assert may_be_reached(ip)


def test_nobody_dumps_core() -> None:
    """A core dump would hold every key."""
    services = [
        document(REPOSITORY / "compose.yaml")["services"]["forwarder"],
        *document(REPOSITORY / "compose.demo.yaml")["services"].values(),
        *document(REPOSITORY / "compose.postgresql.yaml")["services"].values(),
    ]
    unit = (REPOSITORY / "deploy/systemd/whatwatt-forwarder.service").read_text()
    assert {service["ulimits"]["core"] for service in services} == {0}
    assert "\nLimitCORE=0\n" in unit


def test_unit_cannot_reach_link_local_addresses() -> None:
    """Clouds keep their metadata there; the guard refuses them, and the kernel does behind it."""
    unit = (REPOSITORY / "deploy/systemd/whatwatt-forwarder.service").read_text()
    (denied,) = re.findall(r"^IPAddressDeny=(.*)$", unit, re.MULTILINE)
    assert "link-local" in denied.split()


def test_base_image_can_be_pinned() -> None:
    """Every stage begins at the build argument or at another stage."""
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    bases = {line.split()[1] for line in lines if line.startswith("FROM ")}
    assert bases == {"${PYTHON_IMAGE}", "build"}
    assert "ARG PYTHON_IMAGE=python:3.13-slim" in lines


def way(heading: str) -> str:
    """The commands of one way to run it."""
    page = (REPOSITORY / "docs/deploy.md").read_text()
    return page.split(f"\n## {heading}\n")[1].split("```")[1]


@pytest.mark.parametrize("heading", ["Compose", "Kubernetes", "systemd"])
def test_each_way_places_the_certificate_and_ends_by_looking(heading: str) -> None:
    """whatwatt's server has a certificate of its own: without it the first connection fails."""
    commands = way(heading)

    assert "mqtt-ca.pem" in commands
    assert "check --connect" in commands
    assert commands.strip().splitlines()[-1].endswith("forwarder status")


def test_shipped_settings_name_the_certificate() -> None:
    """Where each way puts it."""
    settings = document(KUBERNETES / "settings.yaml")["data"]
    unit_settings = (REPOSITORY / "deploy/systemd/forwarder.env").read_text()
    assert settings["FORWARDER_MQTT_CA_FILE"] == "/run/secrets/mqtt-ca.pem"
    assert "mqtt-ca.pem" in document(KUBERNETES / "secret.example.yaml")["stringData"]
    assert "\nFORWARDER_MQTT_CA_FILE=/etc/whatwatt-forwarder/mqtt-ca.pem\n" in unit_settings
