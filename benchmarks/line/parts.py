"""The parts of the line as processes: broker, receiver, publisher, forwarder; each on a free loopback port."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar, Self

from ledger import Ledger
from publisher import device

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
SECRET = "whsec_" + base64.b64encode(b"benchmarks sign their posts too.").decode()
USERNAME = "whatwatt.integration.client.partner"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(
    condition: Callable[[], object],
    *,
    what: str,
    seconds: float = PATIENCE_SECONDS,
    every: float = 0.002,
) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(every)


class Part:
    """A process, what it has cost so far, and its end; a context manager."""

    def __init__(self, command: Sequence[str | Path], **options: Any) -> None:
        self.started_at = time.monotonic()
        self.process = subprocess.Popen([str(word) for word in command], **options)

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self, field: str = "VmRSS") -> float:
        """Resident memory now, or its peak (VmHWM)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        return float("nan")

    def commits(self) -> int | None:
        """Transactions that it has committed; None of a program that counts none."""
        return None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)


class Broker(Part):
    """mosquitto, which keeps whatever is published while nobody takes it."""

    def __init__(self, folder: Path, *, max_inflight: int) -> None:
        if MOSQUITTO is None:
            raise SystemExit("mosquitto is not installed: apt-get install mosquitto")
        self.port = free_port()
        config, self._log = folder / "mosquitto.conf", folder / "mosquitto.log"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            "log_dest stderr\nlog_type subscribe\n"
            f"max_inflight_messages {max_inflight}\nmax_queued_messages 0\nset_tcp_nodelay true\n"
        )
        with self._log.open("wb") as log:
            super().__init__([MOSQUITTO, "-c", config], stderr=log)
        wait_until(lambda: is_listening(self.port), what="the broker's start")

    @property
    def has_subscriber(self) -> bool:
        """Whether anybody has subscribed, now or before: of all that happens it logs this alone."""
        return self._log.stat().st_size > 0


class Receiver(Part):
    """receiver.c, compiled when it has changed."""

    def __init__(self, arrived: Ledger) -> None:
        self.port = free_port()
        super().__init__([compiled_receiver(), str(self.port), arrived.path])
        wait_until(lambda: is_listening(self.port), what="the receiver's start")


class Forwarder(Part):
    """`forwarder run` with its own settings: QoS 1, synchronous FULL, log level info."""

    checkout: ClassVar[Path] = ROOT
    """Whose program it is; that of another checkout runs in the environment of its own `make setup`."""

    def __init__(
        self,
        folder: Path,
        *,
        broker_port: int,
        routes: Mapping[str, Any],
        launcher: Sequence[str | Path] = ("-m", "forwarder"),
        outbox_url: str = "sqlite:///outbox.db",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # JSON is YAML too, and quicker to write for 5,000 endpoints.
        (folder / "routes.yaml").write_text(json.dumps(routes))
        self.http_port = free_port()
        own = {
            "FORWARDER_MQTT_URI": f"mqtt://127.0.0.1:{broker_port}",
            "FORWARDER_MQTT_USERNAME": USERNAME,
            "FORWARDER_OUTBOX_URL": outbox_url,
            "FORWARDER_REPLICA_NAME": folder.name,
            "FORWARDER_HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            "FORWARDER_LOG_LEVEL": "info",
            "PYTHONPATH": str(self.checkout),
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FORWARDER_")}
        self.subscribed_at: float | None = None
        self.problems: list[str] = []
        self.where: dict[str, Any] = {"cwd": folder, "env": inherited | own}
        """What it takes to work beside it: its folder and its settings."""
        super().__init__([self.python(), *launcher, "run"], stdout=subprocess.PIPE, **self.where)
        threading.Thread(target=self._read, daemon=True).start()

    @classmethod
    def python(cls) -> Path:
        return Path(sys.executable) if cls.checkout == ROOT else cls.checkout / ".venv/bin/python"

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if b'"mqtt.subscribed"' in line:
                self.subscribed_at = time.monotonic()
            elif b'"level": "error"' in line:
                self.problems.append(line.decode())

    def command(self, *words: str) -> None:
        """A command on its outbox, as an operator types it."""
        command = [self.python(), "-m", "forwarder", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self.where)

    def commits(self) -> int:
        return self.counted("forwarder_outbox_commits_total")

    def counted(self, name: str) -> int:
        """What /metrics says of this series."""
        connection = HTTPConnection("127.0.0.1", self.http_port, timeout=PATIENCE_SECONDS)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return int(next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")))

    def wait_subscribed(self) -> float:
        """Seconds from the start of the process until it was subscribed."""
        wait_until(lambda: self.subscribed_at, what="the forwarder's subscription")
        assert self.subscribed_at is not None
        return self.subscribed_at - self.started_at


class Publishing(Part):
    """publisher.py, until it has published what it was asked for and the broker has taken it."""

    def __init__(self, broker: Broker, sent: Ledger, arrived: Ledger, **options: float) -> None:
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        super().__init__(
            [
                sys.executable,
                HERE / "publisher.py",
                str(broker.port),
                sent.path,
                arrived.path,
                *words,
            ]
        )

    def finish(self) -> None:
        if self.process.wait():
            raise SystemExit("the publisher failed")


def endpoint(port: int, path: str = "/ok", **settings: Any) -> dict[str, Any]:
    """An endpoint of routes.yaml that wants every device, unless `settings` say otherwise."""
    url = f"http://127.0.0.1:{port}{path}"
    return {"url": url, "secret": SECRET, "devices": "*", "allow_private": True} | settings


def shared_out(port: int, count: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """`count` endpoints that share the publisher's 1,000 devices."""
    if count == 1:
        return {"all": endpoint(port, **settings)}
    share = 1000 // count
    return {
        f"e{number}": endpoint(port, devices=devices_from(number * share, share), **settings)
        for number in range(count)
    }


def devices_from(first: int, count: int) -> list[str]:
    return [device(index) for index in range(first, first + count)]


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def compiled_receiver() -> Path:
    source, binary = HERE / "receiver.c", ROOT / "build" / "bench" / "receiver"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-O2", "-o", binary, source], check=True)
    return binary
