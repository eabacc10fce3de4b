"""How to look at the forwarder from outside: its process, its files, its metrics."""

from collections.abc import Mapping
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_SECONDS = 30.0


def process_facts(process_id: int) -> dict[str, int]:
    """Memory, threads and descriptors of a process, as Linux tells them (proc(5))."""
    folder = Path("/proc") / str(process_id)
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        "rss_bytes": int(status["VmRSS"].split()[0]) << 10,
        "threads": int(status["Threads"]),
        "descriptors": sum(1 for _ in (folder / "fd").iterdir()),
    }


def file_facts(outbox: Path) -> dict[str, int]:
    log = outbox.with_name(outbox.name + "-wal")
    return {"file_bytes": outbox.stat().st_size, "log_bytes": log.stat().st_size}


class Scrape:
    """What /metrics says at one moment."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._found = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> int:
        """The sum of all series of this name that have these labels."""
        return round(sum(self._values(name, labels)))

    def has(self, name: str, **labels: str) -> bool:
        return bool(self._values(name, labels))

    def _values(self, name: str, labels: Mapping[str, str]) -> list[float]:
        return [
            sample.value
            for sample in self._found
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    @property
    def facts(self) -> dict[str, int]:
        return {
            "pending": self.total("forwarder_deliveries_pending"),
            "delivered": self.total("forwarder_deliveries_total", outcome="delivered"),
            "dead": self.total("forwarder_dead_letters"),
        }


async def scrape(address: str) -> Scrape:
    """Ask for /metrics, over a connection of its own, as Prometheus does every so often."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as web:
        answer = await web.get(f"http://{address}/metrics")
    return Scrape(answer.text)
