"""The same load plainly and otherwise, in turn: where only the latest counts, and while somebody edits."""

import sqlite3
import statistics
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TypeAlias

from contest import AHEAD
from extent import WARM_UP_SECONDS, Extent, Row
from ledger import Ledger
from parts import HERE, Forwarder, Part, devices_from, endpoint
from run import Figures, a_line

PACE = 1_000
"""Readings per second that nobody is too slow for, so that none is superseded and only the cost differs."""
COUNT_EVERY_SECONDS = 0.005
EDITED, OF_EDITED = "edited", 100
"""The endpoint that is paused now and then, and how many of the 1,000 devices it gets."""

Measured: TypeAlias = Callable[[], Figures]
Runs: TypeAlias = dict[bool, list[Figures]]
"""By whether they were plain."""


def latest(extent: Extent) -> Iterator[Row]:
    """One endpoint in `mode: latest`, to the same in `mode: every`; one reading per POST."""
    loads = {"as fast as it can": {"ahead": AHEAD}, f"at {PACE:,}/s": {"rate": PACE}}
    for name, load in loads.items():
        by_mode = partial(_of_mode, extent=extent, load=load)
        runs = _in_turn(extent, partial(by_mode, "every"), partial(by_mode, "latest"))
        share = sum(run.superseded for run in runs[False]) / sum(run.settled for run in runs[False])
        yield _to_plain(f"mode: latest {name}, to every", runs, f"{share:.0%} superseded")


def _of_mode(mode: str, extent: Extent, load: dict[str, float]) -> Figures:
    with a_line() as line:
        forwarder = line.forwarder({"all": endpoint(line.receiver.port, mode=mode)})
        forwarder.wait_subscribed()
        with superseded_counted(forwarder, line.arrived):
            return line.load(forwarder, warm_up=WARM_UP_SECONDS, seconds=extent.seconds, **load)


def edits(extent: Extent) -> Iterator[Row]:
    """Two endpoints, while an operator pauses one of them and changes routes.yaml, to the same without."""
    made: list[int] = []
    runs = _in_turn(extent, partial(_edited, extent), partial(_edited, extent, made))
    yield _to_plain("an edit a second, to none", runs, f"{statistics.median(made):.0f} edits")


def _edited(extent: Extent, made: list[int] | None = None) -> Figures:
    """The figures of a load; where `made` is told, with edits, whose number is added there."""
    with a_line() as line:
        port = line.receiver.port
        some = devices_from(0, OF_EDITED)
        forwarder = line.forwarder({"all": endpoint(port), EDITED: endpoint(port, devices=some)})
        forwarder.wait_subscribed()
        editor = None if made is None else line.peer(Editor(forwarder))
        figures = line.load(forwarder, warm_up=WARM_UP_SECONDS, ahead=AHEAD, seconds=extent.seconds)
        if editor:
            made.append(editor.finish())
            if not forwarder.counted('forwarder_routes_reloads_total{outcome="applied"}'):
                raise SystemExit("the forwarder has taken no edit of routes.yaml")
        return figures


def _in_turn(extent: Extent, plainly: Measured, otherwise: Measured) -> Runs:
    runs: Runs = {True: [], False: []}
    for round_ in range(extent.rounds):
        for is_plain in (True, False) if round_ % 2 == 0 else (False, True):
            runs[is_plain].append(plainly() if is_plain else otherwise())
    return runs


def _to_plain(figure: str, runs: Runs, beside: str) -> Row:
    rate, cpu = (_middles(runs, one) for one in ("rate", "cpu_us"))
    return Row(
        figure,
        f"{rate[False] / rate[True]:.3f} of the rate ({rate[False]:,.0f} to {rate[True]:,.0f}/s),"
        f" {cpu[False] / cpu[True]:.3f} of the CPU a reading ({cpu[False]:.1f} to {cpu[True]:.1f} µs); {beside}",
        is_void=not all(run.is_complete for key in runs for run in runs[key]),
        runs=[run.raw() | {"is_plain": key} for key in runs for run in runs[key]],
    )


def _middles(runs: Runs, figure: str) -> dict[bool, float]:
    return {key: statistics.median(getattr(run, figure) for run in runs[key]) for key in runs}


@contextmanager
def superseded_counted(forwarder: Forwarder, arrived: Ledger) -> Iterator[None]:
    """Keeps the ledger's count of readings that need not arrive, as the outbox file says it."""
    is_over = threading.Event()

    def count() -> None:
        file = f"file:{forwarder.where['cwd']}/outbox.db?mode=ro"
        total = "SELECT coalesce(sum(superseded), 0) FROM endpoint"
        with closing(sqlite3.connect(file, uri=True)) as outbox:
            while not is_over.wait(COUNT_EVERY_SECONDS):
                ((arrived.words[3],),) = outbox.execute(total)

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield
    finally:
        is_over.set()
        counting.join()


class Editor(Part):
    """editor.py; its first edit is made when this returns."""

    def __init__(self, forwarder: Forwarder) -> None:
        super().__init__(
            [forwarder.python(), HERE / "editor.py", EDITED],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **forwarder.where,
        )  # fmt: skip
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise SystemExit("the editor could not edit")

    def finish(self) -> int:
        """How many edits it has made."""
        told, _ = self.process.communicate()
        return int(told.split()[-1])
