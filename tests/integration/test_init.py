"""`forwarder init` at a terminal: it asks, asks again after a wrong answer, and shows no password."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ANSWERS = [
    (b"URI of the MQTT service", b"mqtt.example"),
    (b"expected mqtt://", b"mqtts://mqtt.example:8883"),
    (b"certificate", b"-"),
    (b"Username", b"whatwatt.integration.client.acmeenergy"),
    (b"Password", b"hunter2"),
    (b"Topic [ext/acmeenergy/#]", b""),
    (b"URL of the first receiver", b""),
]


@pytest.mark.timeout(60)
def test_questions_lead_to_a_set_up(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if "FORWARDER_" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", "forwarder", "init"],
        cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=environ | {"FORWARDER_HTTP_LISTEN": "127.0.0.1:0"},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    for question, answer in ANSWERS:
        said += until(ours, question)
        os.write(ours, answer + b"\n")
    said += until(ours, b"forwarder run")

    assert process.wait() == 0
    os.close(ours)
    assert b"everything is valid" in said
    assert b"hunter2" not in said
    settings = (tmp_path / ".env").read_text().splitlines()
    assert "FORWARDER_MQTT_URI='mqtts://mqtt.example:8883'" in settings
    assert "FORWARDER_MQTT_PASSWORD='hunter2'" in settings
    assert not any(
        line.startswith(("FORWARDER_MQTT_TOPIC", "FORWARDER_MQTT_CA")) for line in settings
    )


def until(terminal: int, awaited: bytes) -> bytes:
    """What is shown up to these words, and the rest of what came with them."""
    said = b""
    while awaited not in said:
        said += os.read(terminal, 4096)
    return said
