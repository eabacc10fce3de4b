"""
CPU per reading and per commit of the outbox alone: put, claim as soon as it may be, settled as delivered at once.

    taskset -c 1 .venv/bin/python benchmarks/outbox.py [--recipients 1 --groups 50] [--profile]

Each group of readings is one `put`, and what was settled of the group before goes to disk with it: one commit a group.
"loop" is the CPU of the event loop's thread, "thread" that of the one that waits for the fsync (checksums, writes,
checkpoints). The smallest of `--rounds` is shown. With `--postgresql` the outbox is in a database of its own, and
"server" is the CPU of all its processes.
"""

import argparse
import asyncio
import cProfile
import gc
import hashlib
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from forwarder.clock import SystemClock
from forwarder.delivery import Attempt, Done
from forwarder.outbox import NewReading, Outbox, Recipient, Settlement, open_outbox, take_seat
from forwarder.reading import Device, WebhookId
from forwarder.settings import OutboxPlace

DEVICES = 1000
DATA = b'{"id":"msg_00000000000000000000000000000000",' + b'"v":1.2345,' * 50 + b'"z":0}'
WARM_UP = 10
"""Groups before the clock runs."""


class Cost(NamedTuple):
    """CPU microseconds of one round."""

    loop: float
    thread: float
    server: float
    commits: int

    @property
    def total(self) -> float:
        return self.loop + self.thread + self.server


Place = tuple[OutboxPlace, Callable[[], float]]
"""Where an outbox is, and what tells the CPU seconds of its server."""


@contextmanager
def new_place(options: argparse.Namespace) -> Iterator[Place]:
    if not options.postgresql:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            yield Path(folder) / "outbox.db", lambda: 0.0
        return
    from support.postgres import PostgresServer

    with PostgresServer(fsync="on", shared_buffers="256MB") as server:
        yield server.database(), server.cpu_seconds


def groups(count: int, size: int, recipients: tuple[Recipient, ...]) -> Iterator[list[NewReading]]:
    """Made before the clock runs: what a reading costs before it is put is not the outbox's."""
    for group in range(count):
        yield [_reading(number, recipients) for number in range(group * size, (group + 1) * size)]


def _reading(number: int, recipients: tuple[Recipient, ...]) -> NewReading:
    digest = hashlib.sha256(b"%d" % number).hexdigest()[:32]
    return NewReading(
        webhook_id=WebhookId("msg_" + digest),
        device=Device(f"ECC9FF{number % DEVICES:06X}"),
        measured_at="2025-11-18T10:17:40Z",
        received_at=time.time(),
        data=DATA,
        recipients=recipients,
    )


class Receivers:
    """Takes whatever may be claimed, at once."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.delivered = 0
        outbox.schedule.on_claimable = self.take

    def take(self, endpoints: set[str]) -> None:
        for endpoint in endpoints:
            while claim := self._outbox.schedule.claim(endpoint):
                attempt = Attempt(1, 1763461060.0, 1.5, 204, "")
                settlement = Settlement(claim.deliveries, Done(), attempt)
                self._outbox.settle(endpoint, [settlement], ends=[claim])
                self.delivered += len(claim.deliveries)


async def drive(
    place: Place, prepared: list[list[NewReading]], profile: cProfile.Profile | None
) -> Cost:
    path, server_seconds = place
    seat = take_seat(path, name="benchmark", deployment="benchmark")
    outbox = open_outbox(path, clock=SystemClock(), member=seat.member)
    receivers = Receivers(outbox)
    run = asyncio.create_task(outbox.run())
    for group in prepared[:WARM_UP]:
        await outbox.put(group)
    gc.collect()
    gc.disable()
    commits, loop, process = outbox.accounts.commits, time.thread_time(), time.process_time()
    server = server_seconds()
    if profile:
        profile.enable()
    for group in prepared[WARM_UP:]:
        await outbox.put(group)
    if profile:
        profile.disable()
    loop, process = time.thread_time() - loop, time.process_time() - process
    server = server_seconds() - server
    gc.enable()
    commits = outbox.accounts.commits - commits
    await outbox.close()
    await run
    outbox.release_files()
    seat.release()
    expected = sum(len(one.recipients) for group in prepared for one in group)
    if receivers.delivered != expected:
        sys.exit(f"{receivers.delivered} of {expected} deliveries were made: the figures are void")
    return Cost(loop * 1e6, (process - loop) * 1e6, server * 1e6, commits)


def measure(size: int, recipients: int, options: argparse.Namespace) -> None:
    to = tuple(Recipient(f"endpoint-{index}") for index in range(recipients))
    count = WARM_UP + max(20, min(options.commits, options.readings // (size * recipients)))
    costs = []
    profile = cProfile.Profile() if options.profile else None
    for _ in range(options.rounds):
        with new_place(options) as place:
            prepared = list(groups(count, size, to))
            costs.append(uvloop.run(drive(place, prepared, profile)))
    least = min(costs, key=lambda cost: cost.total)
    readings = (count - WARM_UP) * size
    print(
        f"{size:5} {recipients:5}"
        f" {least.total / readings:9.1f} {least.loop / readings:7.1f} {least.thread / readings:7.1f}"
        f" {least.server / readings:7.1f}"
        f" {least.total / least.commits:10.0f} {least.loop / least.commits:7.0f}"
        f" {least.thread / least.commits:7.0f} {least.server / least.commits:7.0f}",
        flush=True,
    )
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--groups", type=int, nargs="*", default=[1, 10, 50, 500])
    parser.add_argument("--recipients", type=int, nargs="*", default=[1, 10])
    parser.add_argument("--readings", type=int, default=20_000)
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--folder", help="where the file is made, by default the system's for temporary files"
    )
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    print("                 µs of CPU a reading                µs of CPU a commit")
    print("group  to        all    loop  thread  server        all    loop  thread  server")
    for recipients in options.recipients:
        for size in options.groups:
            measure(size, recipients, options)


if __name__ == "__main__":
    main()
