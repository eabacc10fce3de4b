"""
`python -m monitoring.record`: plays each fault that an alert is for, and writes what /metrics said meanwhile.

Into tests/fixtures/metrics, a file for each: some seconds in which all is well, then the fault until the end. The long
run writes its own (`make endurance`).
"""

import argparse
import asyncio
import contextlib
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import yaml

# The faults stand on what the chaos suite stands on, and that on what the tests do.
ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from chaos.receiver import down, refusing, unreliable
from chaos.stage import Stage
from monitoring.documents import names_in
from monitoring.recording import Recording
from monitoring.table import read_table

FIXTURES = ROOT / "tests/fixtures/metrics"
EVERY_SECONDS = 0.5
WELL, FAULTY = 6, 24
"""Scrapes before the fault, and from then on."""
RATE = 20.0
OLD_SECONDS = 7200.0
FEW = 80
"""Descriptors, and as many endpoints."""


class Fault:
    """A stage on which one thing goes wrong, and what /metrics says of it."""

    def __init__(self, stage: Stage, *, only: Collection[str]) -> None:
        self.stage = stage
        self._only = only
        self.recording = Recording(EVERY_SECONDS)
        self._flow = AsyncExitStack()

    async def look(self, times: int) -> None:
        for _ in range(times):
            self.recording.add(await scraped(self.stage.forwarder.address), only=self._only)
            await asyncio.sleep(EVERY_SECONDS)

    async def start(self, *, wrapped_in: Sequence[str] = (), **environment: str) -> None:
        """All is well for a while, and readings flow; they do until the end, unless they are stopped."""
        for receiver in self.stage.receivers.values():
            receiver.policy = refusing()
        await self.stage.forwarder.start_ready(wrapped_in=wrapped_in, **environment)
        await self._flow.enter_async_context(self.stage.devices.flowing(per_second=RATE))
        await self.stage.until_taken(1)
        await self.look(WELL)

    async def stop_flow(self) -> None:
        await self._flow.aclose()


async def scraped(address: str) -> str | None:
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as web:
        try:
            answer = await web.get(f"http://{address}/metrics")
        except httpx.TransportError:
            return None
    return answer.text if answer.is_success else None


async def nothing(fault: Fault) -> None:
    await fault.start()
    await fault.look(FAULTY)


async def everything(fault: Fault) -> None:
    """Whatever there is a metric for happens, and all of them are kept: for the dashboard."""
    await fault.start(FORWARDER_QUARANTINE_MAX_BYTES="20KiB")
    stage = fault.stage
    stage.receivers["steady"].policy = refusing(*range(0, 10_000, 10))
    stage.receivers["acme"].policy = down
    (stage.folder / "routes.yaml").write_text("endpoints: [")
    await stage.forwarder.logged("routes.rejected")
    stage.write_routes(min_interval="1s")
    await _beside(_nonsense(fault), fault)


async def gone(fault: Fault) -> None:
    await fault.start()
    await fault.stage.forwarder.kill()
    await fault.look(FAULTY)


async def not_subscribed(fault: Fault) -> None:
    await fault.start()
    await fault.stage.broker_link.cut()
    await fault.look(FAULTY)


async def hears_nothing(fault: Fault) -> None:
    await fault.start()
    await fault.stop_flow()
    await fault.look(FAULTY)


async def endpoint_failing(fault: Fault) -> None:
    await fault.start()
    fault.stage.receivers["steady"].policy = down
    await fault.stage.forwarder.logged("endpoint.opened")
    await fault.look(FAULTY)


async def readings_get_old(fault: Fault) -> None:
    """They were received two hours ago; the endpoint was paused since."""
    await fault.start()
    fault.stage.write_routes(paused=True)
    await fault.stage.forwarder.logged("routes.reloaded")
    await fault.stage.devices.all_taken()
    await fault.stage.pause(1.0)
    await fault.stage.forwarder.stop()
    with closing(sqlite3.connect(fault.stage.forwarder.outbox)) as file, file:
        file.execute(
            "UPDATE delivery SET age_from = age_from - ? WHERE state = 'pending'", (OLD_SECONDS,)
        )
    await fault.stage.forwarder.start_ready()
    await fault.look(FAULTY)


async def dead_letters(fault: Fault) -> None:
    await fault.start()

    fault.stage.receivers["steady"].policy = refusing(*range(0, 10_000, 10))
    await fault.look(FAULTY)


async def _nonsense(fault: Fault) -> None:
    while True:
        fault.stage.devices.publish_nonsense(fault.stage.oracle.devices[0], b"no reading " * 100)
        await asyncio.sleep(0.05)


async def quarantine_grows(fault: Fault) -> None:
    await fault.start()
    await _beside(_nonsense(fault), fault)


async def quarantine_lets_go(fault: Fault) -> None:
    await fault.start(FORWARDER_QUARANTINE_MAX_BYTES="20KiB")
    await _beside(_nonsense(fault), fault)


async def _beside(job: Awaitable[None], fault: Fault) -> None:
    task = asyncio.ensure_future(job)
    await fault.look(FAULTY)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def routes_rejected(fault: Fault) -> None:
    await fault.start()
    (fault.stage.folder / "routes.yaml").write_text("endpoints: [")
    await fault.look(FAULTY)


async def log_lines_lost(fault: Fault) -> None:
    """Nobody takes them: stdout is a disk that is full. Attempts that fail now and then are what is logged."""
    await fault.start(wrapped_in=("sh", "-c", 'exec "$@" >/dev/full', "sh"))
    fault.stage.receivers["steady"].policy = unreliable(fault.stage.dice)
    await fault.look(FAULTY)


async def descriptors_exhausted(fault: Fault) -> None:
    """More endpoints than descriptors, and none of them answers."""
    stage = fault.stage
    await fault.start(wrapped_in=("prlimit", f"--nofile={FEW}:{FEW}"))
    for link in stage.links.values():
        await link.stall()
    _write_many_endpoints(stage)
    await stage.forwarder.logged("routes.reloaded")
    await stage.forwarder.logged("descriptors.exhausted")
    await fault.look(FAULTY)


def _write_many_endpoints(stage: Stage) -> None:
    routes = yaml.safe_load((stage.folder / "routes.yaml").read_text())
    (name, settings), *_ = routes["endpoints"].items()
    many = {f"{name}-{number}": settings | {"timeout": "60s"} for number in range(FEW)}
    (stage.folder / "routes.yaml").write_text(yaml.safe_dump({"endpoints": many}))


FAULTS: dict[str, Callable[[Fault], Awaitable[None]]] = {
    one.__name__: one
    for one in (
        nothing, everything, gone, not_subscribed, hears_nothing, endpoint_failing, readings_get_old, dead_letters,
        quarantine_grows, quarantine_lets_go, routes_rejected, log_lines_lost, descriptors_exhausted,
    )
}  # fmt: skip
ALERTED = names_in(read_table())


async def record(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        stage = Stage(Path(folder), seed=name)
        fault = Fault(stage, only=() if name == "everything" else ALERTED)
        async with stage.set():
            await FAULTS[name](fault)
            await fault.stop_flow()
    fault.recording.write(FIXTURES / f"{name}.json.gz")
    print(f"{name}: {len(fault.recording.scrapes)} scrapes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m monitoring.record", description=__doc__)
    parser.add_argument("faults", nargs="*", help="all unless named")
    for name in parser.parse_args().faults or FAULTS:
        asyncio.run(record(name))


if __name__ == "__main__":
    main()
