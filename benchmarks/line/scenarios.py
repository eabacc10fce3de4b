"""What is measured: each scenario is a function from an extent to the rows of a table."""

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import stock
from account import account
from capacity import devices
from ceilings import publisher_ceiling, receiver_ceiling
from contest import AHEAD, AHEAD_OF_BATCHES, BATCH, middle, peers_latency, peers_throughput
from extent import WARM_UP_SECONDS, Extent, Row
from ledger import latencies_ms, quantile
from pages import pages
from parts import ROOT, devices_from, endpoint, free_port, shared_out, wait_until
from publisher import device
from replicas import REPLICAS
from run import Figures, Line, a_line
from variants import edits, latest

Endpoints: TypeAlias = dict[str, Any]
PACE = 1_000
"""Readings per second at which costs are compared: equal groups, so that only the work differs."""


Rows: TypeAlias = Iterator[Row]


def ceilings(extent: Extent) -> Rows:
    with a_line() as line:
        rate, cpu = receiver_ceiling(line, seconds=extent.seconds / 4)
        yield Row("receiver, pipelined POSTs", f"{rate:,.0f}/s, its CPU {cpu:.1f} µs each")
        rate, cpu = publisher_ceiling(line, seconds=extent.seconds / 4)
        yield Row(
            "publisher and mosquitto, no subscriber", f"{rate:,.0f}/s, publisher {cpu:.1f} µs each"
        )


def throughput(extent: Extent) -> Rows:
    for max_inflight in extent.inflights:
        for count in (1, 10):
            yield from _sustained(extent, max_inflight, count, {}, "one reading per POST", AHEAD)
        yield from _sustained(extent, max_inflight, 1, BATCH, "100 per POST", AHEAD_OF_BATCHES)


def _sustained(
    extent: Extent, max_inflight: int, count: int, settings: dict[str, Any], form: str, ahead: int
) -> Rows:
    runs = []
    for _ in range(extent.rounds):
        with a_line(max_inflight=max_inflight) as line:
            forwarder = line.forwarder(shared_out(line.receiver.port, count, settings))
            forwarder.wait_subscribed()
            figures = line.load(
                forwarder, warm_up=WARM_UP_SECONDS, ahead=ahead, seconds=extent.seconds
            )
            runs.append(figures)
    median = _median(runs)
    yield Row(
        f"{form}, {count} endpoint{'s' * (count > 1)}, inflight {max_inflight}",
        f"{median.rate:,.0f}/s, {median.cpu_us:.0f} µs a reading, {median.arrived / median.requests:.1f} per POST,"
        f" peak {max(run.peak_mb for run in runs):.0f} MB{median.said_of_commits}",
        is_void=not all(run.is_complete for run in runs),
        runs=[run.raw() for run in runs],
    )


def latency(extent: Extent) -> Rows:
    for rate in (20, 200, 1000):
        runs = []
        for _ in range(extent.rounds):
            with a_line() as line:
                forwarder = line.forwarder({"all": endpoint(line.receiver.port)})
                forwarder.wait_subscribed()
                line.load(forwarder, rate=rate, seconds=1)
                runs.append(line.load(forwarder, rate=rate, seconds=extent.seconds))
        tail = f", p99.9 {middle(runs, 0.999):.2f}" if rate >= 200 else ""
        yield Row(
            f"publish to 2xx at {rate}/s",
            f"p50 {middle(runs, 0.5):.2f}, p99 {middle(runs, 0.99):.2f}{tail} ms",
            is_void=not all(run.is_complete for run in runs),
            runs=[run.raw() for run in runs],
        )


def _median(runs: list[Figures]) -> Figures:
    return sorted(runs, key=lambda run: run.rate)[len(runs) // 2]


def start_and_rest(extent: Extent) -> Rows:
    starts, rests = [], []
    for _ in range(max(3, extent.rounds)):
        with a_line() as line:
            forwarder = line.forwarder({"all": endpoint(line.receiver.port)})
            starts.append(forwarder.wait_subscribed())
            time.sleep(2)
            rests.append(forwarder.memory_mb())
    runs = [
        {"start_seconds": one, "rest_mb": other} for one, other in zip(starts, rests, strict=True)
    ]
    yield Row("start to subscribed, empty outbox", f"{statistics.median(starts):.2f} s", runs=runs)
    yield Row("resident memory at rest", f"{statistics.median(rests):.0f} MB")


def pending(extent: Extent) -> Rows:
    """The same routes and load, with and without the backlog: an endpoint that is dead, and one that is well."""
    costs: dict[bool, list[Figures]] = {False: [], True: []}
    starts, peaks = [], []
    for _ in range(extent.rounds):
        for is_stocked in (False, True):
            with a_line() as line:
                if is_stocked:
                    _stock(line, "dead", extent.pending)
                routes = {
                    "well": endpoint(line.receiver.port),
                    "dead": endpoint(free_port()),
                }
                forwarder = line.forwarder(routes)
                started = forwarder.wait_subscribed()
                figures = line.load(
                    forwarder, warm_up=WARM_UP_SECONDS, rate=PACE, seconds=extent.seconds
                )
                costs[is_stocked].append(figures)
                if is_stocked:
                    starts.append(started)
                    peaks.append(figures.peak_mb)
    amount = f"{extent.pending:,} pending"
    yield Row(
        f"start to subscribed, {amount}",
        f"{statistics.median(starts):.2f} s",
        runs=[{"start_seconds": one} for one in starts],
    )
    yield Row(f"peak memory, {amount}", f"{max(peaks):.0f} MB")
    yield _ratio(f"cost of a reading with {amount} beside it, to without", costs)


def _stock(line: Line, name: str, count: int) -> None:
    path = line.folder / "forwarder" / "outbox.db"
    path.parent.mkdir()
    shutil.copyfile(_stocked(name, count), path)
    os.sync()  # else the disk writes it out while others wait for it


@cache
def _stocked(name: str, count: int) -> Path:
    """An outbox with so many pending, made once in a run of the program, for it takes half a minute."""
    path = ROOT / "build" / "bench" / f"stock-{name}.db"
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    stock.fill(path, endpoint=name, count=count, devices=min(20_000, count))
    return path


def _ratio(figure: str, costs: Mapping[bool, list[Figures]]) -> Row:
    plain, more = (statistics.median(run.cpu_us for run in costs[key]) for key in (False, True))
    runs = costs[False] + costs[True]
    return Row(
        figure,
        f"{more / plain:.2f} ({more:.0f} µs to {plain:.0f} µs; p99 {middle(costs[True], 0.99):.1f} ms"
        f" to {middle(costs[False], 0.99):.1f} ms)",
        is_void=not all(run.is_complete for run in runs),
        runs=[run.raw() | {"is_plain": key is False} for key in costs for run in costs[key]],
    )


def routing(extent: Extent) -> Rows:
    """The same load from many devices to many endpoints, and from 10 devices to one."""
    # By then every endpoint has its connection.
    warm_up = WARM_UP_SECONDS + extent.fleet_endpoints / PACE
    costs: dict[bool, list[Figures]] = {False: [], True: []}
    for _ in range(extent.rounds):
        for is_large in (False, True):
            with a_line() as line:
                forwarder = line.forwarder(_routes(line, extent) if is_large else _plain(line))
                forwarder.wait_subscribed()
                figures = line.load(
                    forwarder,
                    warm_up=warm_up,
                    rate=PACE,
                    seconds=warm_up + extent.seconds,
                    devices=extent.fleet_devices if is_large else 10,
                )
                costs[is_large].append(figures)
    yield _ratio(
        f"cost of a reading with {extent.fleet_devices:,} devices and {extent.fleet_endpoints:,} endpoints,"
        " to 10 and 1",
        costs,
    )


def _plain(line: Line) -> Endpoints:
    return {"all": endpoint(line.receiver.port)}


def _routes(line: Line, extent: Extent) -> Endpoints:
    """Each endpoint has devices that publish at different times, so that it is served now and then all the time."""
    endpoints, devices = extent.fleet_endpoints, range(extent.fleet_devices)
    return {
        f"e{number}": endpoint(
            line.receiver.port, devices=[device(index) for index in devices[number::endpoints]]
        )
        for number in range(endpoints)
    }


def fleet(extent: Extent) -> Rows:
    """Every device once in 30 seconds, one reading per POST."""
    rate = extent.fleet_devices / 30
    with a_line() as line:
        forwarder = line.forwarder(_plain(line))
        forwarder.wait_subscribed()
        figures = line.load(
            forwarder, rate=rate, seconds=extent.fleet_seconds, devices=extent.fleet_devices
        )
        yield Row(
            f"{extent.fleet_devices:,} devices at 30 s ({rate:,.0f}/s) for {extent.fleet_seconds:.0f} s",
            f"p50 {figures.ms(0.5):.1f}, p99 {figures.ms(0.99):.1f} ms, {figures.cpu_us:.0f} µs a reading,"
            f" peak {figures.peak_mb:.0f} MB{figures.said_of_commits}",
            is_void=not figures.is_complete,
            runs=[figures.raw()],
        )


def drain(extent: Extent) -> Rows:
    """A backlog flows off while fresh readings go to another endpoint."""
    with a_line() as line:
        _stock(line, "back", extent.backlog)
        routes = {
            "back": endpoint(line.receiver.port, devices=[stock.stocked_device(0)]),
            "fresh": endpoint(line.receiver.port, devices=devices_from(0, 1000)),
        }
        forwarder = line.forwarder(routes)
        forwarder.wait_subscribed()
        wait_until(lambda: line.arrived.count, what="the first of the backlog")
        first, started = line.arrived.count, time.monotonic()
        with ExitStack() as stack:
            publishing = stack.enter_context(line.publishing(rate=50, seconds=3600))
            wait_until(
                lambda: line.arrived.count - line.sent.count >= extent.backlog,
                what="the end of the backlog",
                seconds=300,
            )
            seconds = time.monotonic() - started
            fresh = latencies_ms(line.sent, line.arrived, start=0, end=line.sent.words[2])
            publishing.stop()
        rate = (extent.backlog - first) / seconds
        yield Row(
            f"drain of a backlog of {extent.backlog:,}",
            f"{rate:,.0f}/s; fresh readings of another endpoint meanwhile"
            f" p50 {quantile(fresh, 0.5):.1f}, p99 {quantile(fresh, 0.99):.1f} ms",
            runs=[{"drain_rate": rate, "fresh_p99_ms": quantile(fresh, 0.99)}],
        )


def isolation(extent: Extent) -> Rows:
    """An endpoint that is well, alone and beside four that are not; 200 readings a second to each."""
    runs: dict[bool, list[Figures]] = {False: [], True: []}
    for _ in range(extent.rounds):
        for has_company in (False, True):
            with a_line() as line:
                forwarder = line.forwarder(_plain(line) | (_sick(line) if has_company else {}))
                forwarder.wait_subscribed()
                line.load(forwarder, rate=200, seconds=2)
                runs[has_company].append(line.load(forwarder, rate=200, seconds=extent.seconds))
    for part, name in ((0.5, "p50"), (0.99, "p99")):
        alone, beside = (middle(runs[key], part) for key in (False, True))
        yield Row(
            f"{name} beside a dead, a mute, a busy and a slow endpoint, to alone",
            f"{beside / alone:.2f} ({beside:.2f} ms to {alone:.2f} ms)",
            is_void=not all(run.is_complete for run in runs[False] + runs[True]),
            runs=[run.raw() | {"is_alone": not key} for key in runs for run in runs[key]],
        )


def _sick(line: Line) -> dict[str, Any]:
    port = line.receiver.port
    return {
        "dead": endpoint(free_port()),
        "mute": endpoint(port, "/mute"),
        "busy": endpoint(port, "/busy"),
        "slow": endpoint(port, "/slow"),
    }


SCENARIOS: Mapping[str, Callable[[Extent], Rows]] = {
    "ceilings": ceilings,
    "throughput": throughput,
    "latest": latest,
    "edits": edits,
    "account": account,
    "latency": latency,
    "start": start_and_rest,
    "pending": pending,
    "routing": routing,
    "drain": drain,
    "isolation": isolation,
    "fleet": fleet,
    "devices": devices,
    "pages": pages,
    **REPLICAS,
    "peers-throughput": peers_throughput,
    "peers-latency": peers_latency,
}
