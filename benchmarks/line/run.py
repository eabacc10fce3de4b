"""One run: the parts, a load, and the count at its end without which its figures are void."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger import Ledger, latencies_ms, quantile
from parts import ROOT, Broker, Forwarder, Part, Publishing, Receiver

CAPACITY = 20_000_000
"""Serials that a ledger has room for; its file is sparse."""
PATIENCE_SECONDS = 20.0


@dataclass
class Figures:
    """What one load came to."""

    published: int
    acknowledged: int
    arrived: int
    superseded: int
    """Readings that need not arrive, because a newer one of their device did."""
    repeats: int
    seconds: float
    requests: int
    cpu_us: float
    """The program's CPU, microseconds a settled reading, system time and fsync's included."""
    peak_mb: float
    """The most resident memory that it has had so far."""
    commits: int | None
    """Transactions; None of a program that counts none."""
    latencies_ms: list[float]

    @property
    def is_complete(self) -> bool:
        return self.published == self.acknowledged == self.settled

    @property
    def settled(self) -> int:
        return self.arrived + self.superseded

    @property
    def rate(self) -> float:
        return self.settled / self.seconds

    @property
    def said_of_commits(self) -> str:
        if not self.commits:
            return ""
        return (
            f", {self.commits / self.seconds:,.0f} commits/s of"
            f" {self.settled / self.commits:.1f} readings"
        )

    def ms(self, part: float) -> float:
        return quantile(self.latencies_ms, part)

    def raw(self) -> dict[str, Any]:
        """Everything for the record, latencies by their quantiles."""
        plain = {key: value for key, value in vars(self).items() if key != "latencies_ms"}
        quantiles = {f"p{part * 100:g}_ms": self.ms(part) for part in (0.5, 0.9, 0.99, 0.999, 1.0)}
        return plain | {"rate": self.rate, "is_complete": self.is_complete} | quantiles


class Line:
    """Broker, receiver and ledgers of one run; the program that is measured joins when it is asked to."""

    def __init__(self, folder: Path, stack: ExitStack, *, max_inflight: int) -> None:
        self.folder = folder
        self.sent = Ledger(folder / "sent", capacity=CAPACITY)
        self.arrived = Ledger(folder / "arrived", capacity=CAPACITY)
        self.broker = stack.enter_context(Broker(folder, max_inflight=max_inflight))
        self.receiver = stack.enter_context(Receiver(self.arrived))
        self._stack = stack

    def peer(self, peer: Part) -> Part:
        return self._stack.enter_context(peer)

    def forwarder(
        self, endpoints: Mapping[str, Any], *, name: str = "forwarder", **options: Any
    ) -> Forwarder:
        """Start a forwarder, in the folder of its name; it need not be subscribed yet."""
        part = Forwarder(
            self.folder / name,
            broker_port=self.broker.port,
            routes={"endpoints": endpoints},
            **options,
        )
        return self._stack.enter_context(part)

    def publishing(self, **options: float) -> Publishing:
        return Publishing(self.broker, self.sent, self.arrived, **options)

    def load(self, program: Part, *, warm_up: float = 0.0, **options: float) -> Figures:
        """Publish, wait until everything has arrived, count. `warm_up` seconds of it come before the figures."""
        publishing = self.publishing(**options)
        time.sleep(warm_up)
        commits = program.commits()
        first, requests, repeats = self.arrived.settled, self.arrived.requests, self.arrived.repeats
        first_sent, superseded = self.sent.words[2], self.arrived.superseded
        started, cpu = time.monotonic(), program.cpu_seconds
        publishing.finish()
        self.wait_for_arrivals()
        seconds = time.monotonic() - started
        spent = program.cpu_seconds - cpu
        published, settled = self.sent.words[2], self.arrived.settled - first
        superseded = self.arrived.superseded - superseded
        return Figures(
            published=published - first,
            acknowledged=self.sent.count - first,
            arrived=settled - superseded,
            superseded=superseded,
            repeats=self.arrived.repeats - repeats,
            seconds=seconds,
            requests=self.arrived.requests - requests,
            cpu_us=spent / max(1, settled) * 1e6,
            peak_mb=program.memory_mb("VmHWM"),
            commits=None if commits is None else (program.commits() or 0) - commits,
            latencies_ms=latencies_ms(self.sent, self.arrived, start=first_sent, end=published),
        )

    def wait_for_arrivals(self) -> None:
        """Return once everything published has arrived, or nothing has for a while: then the rest is lost."""
        settled, progressed_at = self.arrived.settled, time.monotonic()
        while settled < self.sent.words[2] and time.monotonic() < progressed_at + PATIENCE_SECONDS:
            time.sleep(0.002)
            if self.arrived.settled > settled:
                settled, progressed_at = self.arrived.settled, time.monotonic()


@contextmanager
def a_line(*, max_inflight: int = 1000) -> Iterator[Line]:
    """On the disk of the checkout, where fsync costs what it costs."""
    place = ROOT / "build" / "bench"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as folder, ExitStack() as stack:
        yield Line(Path(folder), stack, max_inflight=max_inflight)
