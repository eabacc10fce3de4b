"""An aedes broker on Node, which redelivers with a new packet id and no DUP, unlike mosquitto."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forwarder.settings import Broker

PACKAGE = "aedes@1.2.0"
SCRIPT = Path(__file__).with_name("aedes.mjs")
INSTALL_SECONDS = 60


def install_aedes(folder: Path) -> str | None:
    """Make `folder` an npm project that can run the broker; return None, or why that is impossible here."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed"
    shutil.copy(SCRIPT, folder)
    options = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(
            ["npm", "install", *options, PACKAGE],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"npm could not install {PACKAGE} in {INSTALL_SECONDS} s"
    if done.returncode:
        return f"npm could not install {PACKAGE}: {done.stderr.strip()[-200:]}"
    return None


@contextmanager
def aedes_broker(folder: Path) -> Iterator[Broker]:
    """A running broker, as the forwarder reaches it; `folder` is where aedes was installed."""
    process = subprocess.Popen(["node", SCRIPT.name], cwd=folder, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Broker(
                host="127.0.0.1",
                port=port,
                use_tls=False,
                client_id="whatwatt-forwarder",
                topics=("ext/#",),
            )
        finally:
            process.kill()
