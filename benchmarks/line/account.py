"""Where a reading's CPU goes at full load: by thread in the running process, and by part where each runs alone."""

import re
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from contest import AHEAD
from extent import Extent, Row
from parts import TICKS, Forwarder, endpoint
from run import Figures, a_line

IN_FLIGHT = 20
"""What mosquitto hands out at most without an answer, by default."""


class Spent(NamedTuple):
    """What a thread has used so far."""

    user_us: float = 0.0
    system_us: float = 0.0
    waits: float = 0.0
    """How often it gave its core back, because it had to wait,"""
    preemptions: float = 0.0
    """and how often somebody else took it."""

    def plus(self, other: "Spent", times: float = 1.0) -> "Spent":
        return Spent(*[mine + times * its for mine, its in zip(self, other, strict=True)])

    @property
    def said(self) -> str:
        return (
            f"{self.user_us + self.system_us:.0f} µs, {self.system_us:.0f} of them in the kernel;"
            f" waits {self.waits:.2f}, is preempted {self.preemptions:.2f} times"
        )


class Alone(NamedTuple):
    """A benchmark of one part: the line of its output that counts, and which number there."""

    program: str
    options: tuple[str, ...]
    line: str
    place: int


def alone(group: int) -> Mapping[str, Alone]:
    """The parts on the loop and beside it, with commits of as many readings as in the whole."""
    outbox = ("--recipients", "1", "--rounds", "1", "--groups", str(group))
    http = "one per POST, with HTTP"
    return {
        "subscriber": Alone("subscriber.py", ("--in-flight", str(IN_FLIGHT)), "a message", 0),
        "normalise": Alone("normalise.py", (), "400 bytes", 4),
        "dispatcher and HTTP": Alone("dispatcher.py", ("--only", http), http, 1),
        "outbox, loop": Alone("outbox.py", outbox, f"{group:5} ", 3),
        "outbox, commit thread": Alone("outbox.py", outbox, f"{group:5} ", 4),
    }


def account(extent: Extent) -> Iterator[Row]:
    """One reading per POST; the whole and its parts take turns, so that both meet the same neighbours."""
    wholes: list[tuple[Figures, dict[str, Spent]]] = []
    parts: list[dict[str, float]] = []
    for _ in range(extent.rounds):
        figures, spent = _whole(extent)
        wholes.append((figures, spent))
        group = round(figures.arrived / (figures.commits or figures.arrived))
        parts.append({name: _cost_of(one) for name, one in alone(group).items()})
    yield Row(
        "the whole",
        f"{statistics.median(one.cpu_us for one, _ in wholes):.0f} µs a reading{wholes[0][0].said_of_commits}",
        is_void=not all(one.is_complete for one, _ in wholes),
        runs=[one.raw() for one, _ in wholes],
    )
    for name in wholes[0][1]:
        yield Row(f"the whole: {name}", _middle([spent[name] for _, spent in wholes]).said)
    costs = {name: statistics.median(one[name] for one in parts) for name in parts[0]}
    for name, cost in costs.items():
        yield Row(f"alone: {name}", f"{cost:.0f} µs")
    yield Row("alone: all of them", f"{sum(costs.values()):.0f} µs", runs=parts)


def _whole(extent: Extent) -> tuple[Figures, dict[str, Spent]]:
    """Its figures, and by thread what a reading used."""
    with a_line(max_inflight=IN_FLIGHT) as line:
        forwarder = line.forwarder({"all": endpoint(line.receiver.port)})
        forwarder.wait_subscribed()
        pid, before = forwarder.process.pid, _threads(forwarder.process.pid)
        figures = line.load(forwarder, ahead=AHEAD, seconds=extent.seconds)
        used = {
            thread: after.plus(before.get(thread, Spent()), -1)
            for thread, after in _threads(pid).items()
        }
    loop, (commit, *others) = used.pop(pid), sorted(used.values(), reverse=True)
    found = {"loop": loop, "commit thread": commit, "other threads": Spent()}
    for other in others:
        found["other threads"] = found["other threads"].plus(other)
    return figures, {
        name: Spent().plus(spent, 1 / max(1, figures.arrived)) for name, spent in found.items()
    }


def _threads(pid: int) -> dict[int, Spent]:
    """By its id what each thread has used since it began; the loop's has the process's."""
    return {int(task.name): _spent(task) for task in Path(f"/proc/{pid}/task").iterdir()}


def _spent(task: Path) -> Spent:
    fields = (task / "stat").read_text().rpartition(")")[2].split()
    switches = re.findall(r"ctxt_switches:\s+(\d+)", (task / "status").read_text())
    return Spent(*[int(ticks) / TICKS * 1e6 for ticks in fields[11:13]], *map(float, switches))


def _middle(spent: list[Spent]) -> Spent:
    return Spent(*[statistics.median(values) for values in zip(*spent, strict=True)])


def _cost_of(one: Alone) -> float:
    """CPU microseconds a reading of a part in a process of its own."""
    program = Forwarder.checkout / "benchmarks" / one.program
    command = [str(Forwarder.python()), str(program), *one.options]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    line = next(line for line in reversed(output.splitlines()) if one.line in line)
    return float(re.findall(r"\d+(?:\.\d+)?", line)[one.place])
