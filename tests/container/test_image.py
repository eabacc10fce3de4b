"""What is in the image, and what it asks of an engine."""

import json
from typing import Any

import pytest
from support.containers import Container, Engine, until

from forwarder import __version__

IMAGE = f"whatwatt-forwarder:{__version__}"

PACKAGES = """
import importlib.metadata, json
print(json.dumps(sorted(d.metadata["Name"].lower() for d in importlib.metadata.distributions(path=["{path}"]))))
"""


@pytest.fixture(scope="module")
def configuration(engine: Engine) -> dict[str, Any]:
    document = engine.inspect(IMAGE)
    # podman keeps the health check beside the configuration, docker in it.
    return {"Healthcheck": document.get("Healthcheck"), **document["Config"]}


def run(engine: Engine, program: str) -> str:
    return engine("run", "--rm", "--entrypoint", "python", IMAGE, "-c", program).strip()


def test_user_is_numeric_and_not_root(configuration: dict[str, Any]) -> None:
    """Kubernetes can tell that a numeric user is not root (runAsNonRoot)."""
    assert configuration["User"] == "10001:10001"


def test_image_says_how_it_is_run_and_looked_after(configuration: dict[str, Any]) -> None:
    """Start, stop and health need no words from whoever runs it."""
    assert configuration["Entrypoint"] == ["forwarder"]
    assert configuration["Cmd"] == ["run"]
    assert configuration["StopSignal"] in ("SIGTERM", "15")
    assert configuration["Healthcheck"]["Test"] == ["CMD", "forwarder", "health"]
    assert list(configuration["Volumes"]) == ["/data"]


def test_labels_tell_version_and_licence(configuration: dict[str, Any]) -> None:
    """The OCI labels tell what is inside."""
    prefix = "org.opencontainers.image."
    assert configuration["Labels"][prefix + "version"] == __version__
    assert configuration["Labels"][prefix + "licenses"] == "Apache-2.0"


def test_only_what_runs_is_installed(engine: Engine) -> None:
    """Neither the demo's packages nor an installer are in the image."""
    program = PACKAGES.format(path="/opt/venv/lib/python3.13/site-packages")
    installed = set(json.loads(run(engine, program)))
    assert "whatwatt-forwarder" in installed
    assert installed.isdisjoint({"amqtt", "standardwebhooks", "pip", "setuptools", "pytest"})


def test_missing_settings_are_one_sentence(engine: Engine) -> None:
    """A container that was told nothing ends with exit code 2, and says what is missing."""
    done = engine.run("run", "--rm", IMAGE)
    assert done.returncode == 2
    assert "FORWARDER_MQTT_URI is not set" in done.stderr


def test_sigterm_ends_any_command(engine: Engine) -> None:
    """A command without a handler of its own ends at once when its container is stopped."""
    listener = Container(engine, engine("run", "-d", IMAGE, "listen").strip())
    try:
        until(lambda: "Listening" in listener.text(), otherwise=listener.last_words)
        assert listener.stop() == 0
    finally:
        listener.remove()
