"""
What open pages cost the line: the same forwarder and load, in turn without and with people who look.

A run of less than 30 s says little: with so many endpoints open pages are told every ten or twenty seconds.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from contest import AHEAD
from extent import WARM_UP_SECONDS, Extent, Row
from parts import HERE, Forwarder, Part, endpoint
from publisher import device
from run import Figures, Line, a_line

ENDPOINTS, DEVICES = 5_000, 20_000
PACE = 200
VIEWS = (
    *["/"] * 6, *["/endpoints"] * 3, "/endpoints?from=100",
    *[f"/endpoints/e{number}" for number in (7, 7, 70, 700)], "/devices", "/devices?only=silent",
    "/deliveries", "/deliveries", "/deliveries?q=endpoint:e7", "/quarantine",
)  # fmt: skip
"""What 20 people look at."""


class Readers(Part):
    """readers.py; everybody's page is open when this returns."""

    def __init__(self, port: int, paths: Sequence[str]) -> None:
        command = [sys.executable, HERE / "readers.py", str(port), *paths]
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "open\n":
            raise SystemExit("the pages did not open")

    def finish(self) -> dict[str, int]:
        """What they were told, and how much they asked for."""
        told, _ = self.process.communicate()
        return dict(json.loads(told))


def pages(extent: Extent) -> Iterator[Row]:
    """20 open pages, 5,000 endpoints and 20,000 devices: at full load, and at 200 readings a second."""
    with a_line() as line:
        port = line.receiver.port
        owed = [
            [device(index) for index in range(DEVICES)[number::ENDPOINTS]]
            for number in range(ENDPOINTS)
        ]
        routes = {f"e{number}": endpoint(port, devices=own) for number, own in enumerate(owed)}
        forwarder = line.forwarder(routes)
        forwarder.wait_subscribed()
        line.load(forwarder, ahead=AHEAD, count=2 * DEVICES, devices=DEVICES)  # so all are known
        full = _in_turn(line, forwarder, extent, ahead=AHEAD)
        paced = _in_turn(line, forwarder, extent, rate=PACE)
    more, lost = _ratio(full, "cpu_us") - 1, 1 - _ratio(full, "rate")
    count = len(VIEWS)
    said = f"{more:+.1%} CPU a reading, {lost:+.1%} of the rate lost"
    yield _row(f"{count} open pages at full load", said, full, "full")
    said = " to ".join(f"{_middle(paced, 'p99_ms', has_pages=one):.2f} ms" for one in (True, False))
    yield _row(f"{count} open pages at {PACE}/s", f"p99 {said}", paced, "paced")


def _in_turn(
    line: Line, forwarder: Forwarder, extent: Extent, **load: float
) -> list[dict[str, Any]]:
    runs = []
    for round_ in range(extent.rounds):
        for has_pages in (False, True) if round_ % 2 == 0 else (True, False):
            figures, told = _loaded(line, forwarder, extent, load, VIEWS if has_pages else ())
            runs.append(figures.raw() | {"has_pages": has_pages, "told": told})
    return runs


def _loaded(
    line: Line, forwarder: Forwarder, extent: Extent, load: dict[str, float], views: Sequence[str]
) -> tuple[Figures, dict[str, int]]:
    with Readers(forwarder.http_port, views) as readers:
        figures = line.load(
            forwarder, warm_up=WARM_UP_SECONDS, seconds=extent.seconds, devices=DEVICES, **load
        )
        return figures, readers.finish()


def _row(figure: str, value: str, runs: list[dict[str, Any]], load: str) -> Row:
    void = not all(run["is_complete"] for run in runs)
    return Row(figure, value, is_void=void, runs=[run | {"load": load} for run in runs])


def _ratio(runs: list[dict[str, Any]], figure: str) -> float:
    return _middle(runs, figure, has_pages=True) / _middle(runs, figure, has_pages=False)


def _middle(runs: list[dict[str, Any]], figure: str, *, has_pages: bool) -> float:
    return statistics.median(run[figure] for run in runs if run["has_pages"] is has_pages)
