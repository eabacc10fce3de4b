"""What commands say at terminals of 60 and 80 columns: nothing is wider, and nothing breaks within a word."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

ROUTES = """\
groups:
  zurich: [ECC9FF5C7AD4]
endpoints:
  acme:
    url: ftp://127.0.0.1/
    secret: ACME_SECRET
    devices: [zurich]
    fields: [network.zzz]
"""
_STYLES = re.compile(r"\x1b\[[0-9;]*m")
BROKER = {"FORWARDER_MQTT_URI": "mqtts://127.0.0.1:1", "FORWARDER_MQTT_TOPIC": "ext/acme/#"}


def seen(*arguments: str, folder: Path, columns: int) -> list[str]:
    """The lines of what a command writes, to stdout and stderr, at a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if "FORWARDER_" not in name}
    environ.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "forwarder", *arguments],
        cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=environ | BROKER | {"NO_COLOR": "1", "FORWARDER_HTTP_LISTEN": "127.0.0.1:0", "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while some := os.read(ours, 4096):
            said += some
    except OSError:
        pass
    process.wait()
    os.close(ours)
    return _STYLES.sub("", said.decode()).splitlines()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize(
    "arguments",
    [
        ("check",), ("status",), ("routes", "show"), ("deliveries", "list"), ("send-test", "acme"),
        ("decode", "payload"), ("--help",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_lines_fit_and_end_between_words(
    arguments: tuple[str, ...], columns: int, tmp_path: Path
) -> None:
    """The sentence that programs get whole is folded for people."""
    (tmp_path / "routes.yaml").write_text(ROUTES)
    (tmp_path / "payload").write_text('{"P_In": 1.5, "timestamp": 1763460000, "site": "Basel"}')

    lines = seen(*arguments, folder=tmp_path, columns=columns)

    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines)
    words = {word for line in lines for word in line.split()}
    whole = {
        word for line in seen(*arguments, folder=tmp_path, columns=5000) for word in line.split()
    }
    assert words <= whole
