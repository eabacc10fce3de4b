"""The folder of a compose project, as docs/deploy.md has people make it."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

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


def routes(*names: str) -> str:
    """A routing file whose endpoints, all at the receiver, get every reading."""
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
    """Put everything there, with the routes of one endpoint, archive."""
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
    """Secrets belong to the image's user; where chown is not ours, everybody on a test machine may read them."""
    folder.chmod(0o700)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{USER}:{USER}", folder], check=True)
    else:
        folder.chmod(0o755)


def furnish_demo(folder: Path) -> None:
    """Put there what compose.demo.yaml needs."""
    _copy(REPOSITORY / "compose.demo.yaml", folder)
    shutil.copytree(REPOSITORY / "deploy/demo", folder / "deploy/demo")
    _take_a_free_port(folder)


def _take_a_free_port(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        (folder / ".env").write_text(f"FORWARDER_PORT={probe.getsockname()[1]}\n")


def _copy(source: Path, folder: Path) -> None:
    """As it is, but for `ulimits`: an engine that is confined itself may set none, and refuses to start a container."""
    text = source.read_text()
    (folder / source.name).write_text(re.sub(r"(?m)^( *)ulimits:\n(?:\1 +.*\n)+", "", text))
