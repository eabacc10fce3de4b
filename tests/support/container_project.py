"""A builder of the folder of a compose project, as docs/deploy.md tells people to make it."""

import json
import os
import re
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from support.certificates import Authority

REPOSITORY = Path(__file__).parents[2]
TESTS = REPOSITORY / "tests/container"
USER = 10001
SECRET = "whsec_" + "dGVzdCBrZXkgb2YgdGhlIGNvbnRhaW5lciB0ZXN0cyE="

MOSQUITTO = """\
listener 1883 0.0.0.0
allow_anonymous true
max_queued_messages 100000
persistence true
persistence_location /mosquitto/data/
"""

SETTINGS = """\
FORWARDER_MQTT_URI=mqtt://broker
FORWARDER_MQTT_TOPIC=ext/example/#
"""

BROKER_USER = "whatwatt.integration.client.example"
BROKER_PASSWORD = "it's $5 #net"
PAGE_MOSQUITTO = """\
listener 8883 0.0.0.0
certfile /mosquitto/config/server.pem
keyfile /mosquitto/config/server.key
password_file /mosquitto/config/passwords
"""
PAGE_SETTINGS = f"""\
FORWARDER_MQTT_URI=mqtts://broker:8883
FORWARDER_MQTT_USERNAME={BROKER_USER}
FORWARDER_MQTT_PASSWORD_FILE=/run/secrets/mqtt_password
FORWARDER_MQTT_CA_FILE=/etc/forwarder/mqtt-ca.pem
"""
PAGE_ROUTES = """\
endpoints:
  acme:
    url: http://receiver:9000/
    secret: file:/run/secrets/acme
    devices: "*"
    allow_http: true
    allow_private: true
"""
PAGE_COMPOSE = """\
services:
  forwarder:
    environment:
      RES_OPTIONS: "timeout:1 attempts:2"
  broker:
    image: eclipse-mosquitto:2
    volumes:
      - ./broker:/mosquitto/config:ro
  receiver:
    image: whatwatt-forwarder:demo
    command: [listen, --host, 0.0.0.0, --port, "9000"]
"""


def routes(*names: str) -> str:
    """A routing file with these endpoints, which are all at the receiver and get every reading."""
    endpoint = """\
  {name}:
    url: http://receiver:9000/{name}
    secret: file:/run/secrets/receiver
    devices: "*"
    allow_http: true
    allow_private: true
    retry: {{initial: 1s, max: 2s}}
"""
    return "endpoints:\n" + "".join(endpoint.format(name=name) for name in names)


def furnish(folder: Path) -> None:
    """Put every file into the folder, with the routes of one endpoint, archive."""
    for source in (REPOSITORY / "compose.yaml", TESTS / "compose.test.yaml", TESTS / "receiver.py"):
        _copy(source, folder)
    for name in ("config", "secrets", "broker"):
        (folder / name).mkdir()
    (folder / "broker").chmod(0o777)
    (folder / "mosquitto.conf").write_text(MOSQUITTO)
    (folder / "forwarder.env").write_text(SETTINGS)
    _take_a_free_port(folder)
    (folder / "config/routes.yaml").write_text(routes("archive"))
    (folder / "secrets/receiver").write_text(SECRET + "\n")
    _give_away(folder / "secrets")


def _give_away(folder: Path) -> None:
    """Give secrets to the image's user, or to everybody on the test machine if chown is not allowed."""
    folder.chmod(0o700)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{USER}:{USER}", folder], check=True)
    else:
        folder.chmod(0o755)


def furnish_for_the_page(folder: Path) -> None:
    """Put the files there that docs/deploy.md takes for granted: compose.yaml, whatwatt's files, and an editor."""
    _copy(REPOSITORY / "compose.yaml", folder)
    _take_a_free_port(folder)
    (folder / "compose.test.yaml").write_text(PAGE_COMPOSE)
    _furnish_broker(folder / "broker")
    sent = folder / "home/from-whatwatt"
    sent.mkdir(parents=True)
    shutil.copy(folder / "broker/ca.pem", sent / "certificate.pem")
    (sent / "password").write_text(BROKER_PASSWORD + "\n")
    (folder / "settings.written").write_text(PAGE_SETTINGS)
    (folder / "routes.written").write_text(PAGE_ROUTES)
    editor = folder / "editor"
    editor.write_text('#!/bin/sh\ncp settings.written "$1"\ncp routes.written "$2"\n')
    editor.chmod(0o755)


def _furnish_broker(folder: Path) -> None:
    Authority(folder).issue("broker")
    passwords = folder / "passwords"
    passwords.touch()
    subprocess.run(["mosquitto_passwd", "-b", passwords, BROKER_USER, BROKER_PASSWORD], check=True)
    (folder / "mosquitto.conf").write_text(PAGE_MOSQUITTO)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)


def furnish_demo(folder: Path) -> None:
    """Put the files there that compose.demo.yaml needs."""
    _copy(REPOSITORY / "compose.demo.yaml", folder)
    shutil.copytree(REPOSITORY / "deploy/demo", folder / "deploy/demo")
    _take_a_free_port(folder)


def furnish_replicas(folder: Path) -> None:
    """Put the files there that compose.postgresql.yaml needs."""
    _copy(REPOSITORY / "compose.postgresql.yaml", folder)
    impatient = {"environment": {"RES_OPTIONS": "timeout:1 attempts:2"}}
    names = ("forwarder-1", "forwarder-2", "forwarder-3")
    document = {"services": dict.fromkeys(names, impatient)}
    (folder / "compose.test.yaml").write_text(json.dumps(document))
    shutil.copytree(REPOSITORY / "deploy/demo", folder / "deploy/demo")
    _take_a_free_port(folder, "FORWARDER_PORT_1", "FORWARDER_PORT_2", "FORWARDER_PORT_3")


def _take_a_free_port(folder: Path, *names: str) -> None:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in names or [""]]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        ports = [probe.getsockname()[1] for probe in probes]
    lines = zip(names or ["FORWARDER_PORT"], ports, strict=True)
    (folder / ".env").write_text("".join(f"{name}={port}\n" for name, port in lines))


def _copy(source: Path, folder: Path) -> None:
    """Copy a file without its `ulimits`, because a confined engine may set none and refuses to start a container."""
    text = source.read_text()
    (folder / source.name).write_text(re.sub(r"(?m)^( *)ulimits:\n(?:\1 +.*\n)+", "", text))
