"""The view of the demo: a calm live view on a terminal, plain lines anywhere else."""

from itertools import islice
from typing import Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from forwarder.demo.ledger import Ledger
from forwarder.demo.listener import Received
from forwarder.demo.progress import STEPS, Progress, StepName
from forwarder.demo.scene import Recipient, Scene
from forwarder.demo.story import Verdict
from forwarder.demo.wording import clock_of, power, register
from forwarder.terminal import plain

_PLAIN_LINE_EVERY_SECONDS = 2.0
_SHOWN_READINGS = 5
_WIDEST = 96
_WIDE = 80
"""From so many columns on everything has room. Below, less important columns go, and no name is cut."""
_LEFT_OUT_WHEN_NARROW = frozenset({"wants", "retries", "at (UTC)", "register kWh"})
_READING_TITLES = ("at (UTC)", "device", "power", "register kWh", "delivered to")
_LEAST_WIDTHS = {"power": 17, "register kWh": 12}
_FLUSH_RIGHT = frozenset({"owed", "delivered", "waiting", "retries", "register kWh"})
_STORY_MARGIN = 11
"""Columns of a step's sign and time."""
_ROWS_OF_READINGS = 4
"""Rows that the table of readings takes: one above, two for its head, and one reading."""


class View(Protocol):
    """Shows the story while it goes on."""

    def __enter__(self) -> "View":
        """Begin."""

    def __exit__(self, *_exc: object) -> None:
        """Leave the terminal as it was."""

    def refresh(self, scene: Scene, ledger: Ledger, progress: Progress) -> None:
        """Show the present state. It is called several times a second."""


def view_for(console: Console) -> View:
    """The live view if stdout is a terminal, else plain lines without control codes."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console)
    return PlainView(console)


class PlainView:
    """Shows a line per remark, and one of counters every other second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0
        self._counted_at = 0.0

    def __enter__(self) -> "PlainView":
        return self

    def __exit__(self, *_exc: object) -> None:
        return

    def refresh(self, scene: Scene, ledger: Ledger, progress: Progress) -> None:
        for remark in progress.remarks[self._told :]:
            self._print(remark.at_seconds, plain(remark.words))
        self._told = len(progress.remarks)
        elapsed = progress.elapsed_seconds
        if progress.current and elapsed - self._counted_at >= _PLAIN_LINE_EVERY_SECONDS:
            self._counted_at = elapsed
            self._print(elapsed, _counters(scene, ledger, progress))

    def _print(self, at_seconds: float, words: str) -> None:
        self._console.print(f"{at_seconds:5.1f} s  {words}", markup=False, soft_wrap=True)


def _counters(scene: Scene, ledger: Ledger, progress: Progress) -> str:
    counts = [f"published {len(ledger.publications)}"]
    for recipient in scene.recipients:
        waiting = progress.pending.get(recipient.name, 0)
        delivered = f"{recipient.name} {len(recipient.listener.accepted)}"
        counts.append(delivered + (f" ({waiting} waiting)" if waiting else ""))
    return "  ".join(counts)


class LiveView:
    """The line with its counters, the endpoints, the latest readings and the story, drawn anew in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> "LiveView":
        self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._live.stop()

    def refresh(self, scene: Scene, ledger: Ledger, progress: Progress) -> None:
        shown = frame(scene, ledger, progress, size=self._console.size)
        self._live.update(shown, refresh=True)


def frame(scene: Scene, ledger: Ledger, progress: Progress, *, size: ConsoleDimensions) -> Group:
    """All that has room. Less important parts go first, and no name is cut."""
    is_narrow = size.width < _WIDE
    room = size.height - _rows_without_readings(scene, progress, width=size.width)
    parts = [
        _headline(progress, width=min(size.width, _WIDEST)),
        _line(scene, ledger, progress, is_narrow=is_narrow),
        _endpoints(scene, ledger, progress, is_narrow=is_narrow),
    ]
    if room > 0:
        parts.append(_latest(scene, limit=min(_SHOWN_READINGS, room), is_narrow=is_narrow))
    parts.append(_story(progress, is_short=room < -_ROWS_OF_READINGS))
    spaced = [row for part in parts for row in (part, Text())]
    return Group(*spaced[:-1])


def _rows_without_readings(scene: Scene, progress: Progress, *, width: int) -> int:
    extra_remarks = len(progress.remarks) - len({remark.step for remark in progress.remarks})
    folded = sum(_STORY_MARGIN + len(words) > width for words in STEPS.values())
    return 12 + len(scene.recipients) + len(STEPS) + folded + extra_remarks


def _headline(progress: Progress, *, width: int) -> RenderableType:
    row = Table.grid(expand=True)
    row.width = width
    row.add_column()
    row.add_column(justify="right")
    elapsed = min(progress.elapsed_seconds, progress.seconds)
    row.add_row(
        Text.assemble(("whatwatt webhook forwarder", "bold"), "  demo on this machine"),
        Text(f"{elapsed:.0f} s of {progress.seconds:.0f} s", style="dim"),
    )
    return row


def _line(scene: Scene, ledger: Ledger, progress: Progress, *, is_narrow: bool) -> RenderableType:
    waiting = sum(progress.pending.values())
    arrived = sum(len(recipient.listener.accepted) for recipient in scene.recipients)
    stations = (
        ("devices", f"{len(ledger.publications)} published"),
        ("broker", "MQTT, QoS 1"),
        ("forwarder", f"{waiting} waiting"),
        ("endpoints", f"{arrived} delivered"),
    )
    line = _grid(columns=len(stations) * 2 - 1, gap=1 if is_narrow else 2)
    names, facts = [Text(f"{len(scene.fleet)} devices", style="bold")], [Text(stations[0][1])]
    for name, fact in stations[1:]:
        names += [Text("──▶", style="dim"), Text(name, style="bold")]
        facts += [Text(), Text(fact)]
    line.add_row(*names)
    line.add_row(*facts)
    return line


def _endpoints(
    scene: Scene, ledger: Ledger, progress: Progress, *, is_narrow: bool
) -> RenderableType:
    table = _Columns(is_narrow=is_narrow)
    for recipient in scene.recipients:
        received = recipient.listener.received
        table.add(
            endpoint=Text(recipient.name, style="bold"),
            wants=recipient.wants,
            owed=len(ledger.owed_to(recipient)),
            delivered=len(recipient.listener.accepted),
            waiting=_waiting(recipient.name, progress),
            retries=_quiet_zero(sum(request.attempt > 1 for request in received)),
            answers=_answer(recipient),
        )
    return table.table


class _Columns:
    """A table that is made from its first row on. Numbers are flush right."""

    def __init__(self, *, is_narrow: bool) -> None:
        self.table = _table()
        self._left_out = _LEFT_OUT_WHEN_NARROW if is_narrow else frozenset[str]()

    def add(self, **cells: str | int | Text) -> None:
        shown = {title: cell for title, cell in cells.items() if title not in self._left_out}
        if not self.table.columns:
            for title in shown:
                self.table.add_column(
                    title,
                    justify="right" if title in _FLUSH_RIGHT else "left",
                    min_width=_LEAST_WIDTHS.get(title),
                    no_wrap=True,
                )
        self.table.add_row(*(one if isinstance(one, Text) else str(one) for one in shown.values()))


def _waiting(name: str, progress: Progress) -> Text:
    """The deliveries that wait, or else the dead letters: with owed and delivered they make up the account."""
    waiting, dead = progress.pending.get(name, 0), progress.dead.get(name, 0)
    return Text(f"{dead} dead", style="red") if dead and not waiting else _quiet_zero(waiting)


def _quiet_zero(count: int) -> Text:
    return Text(str(count), style="yellow" if count else "dim")


def _answer(recipient: Recipient) -> Text:
    received = recipient.listener.received
    if not received:
        return Text("nothing came yet", style="dim")
    last = received[-1]
    verified = "verified" if last.verified else "NOT VERIFIED"
    return Text(
        f"{last.status}, {verified}",
        style="green" if last.was_accepted and last.verified else "red",
    )


def _latest(scene: Scene, *, limit: int, is_narrow: bool) -> RenderableType:
    table = _Columns(is_narrow=is_narrow)
    accepted = scene.archive.listener.accepted
    latest = list(islice(reversed(accepted.items()), limit))
    for reading_id, request in latest:
        table.add(**_reading_row(scene, reading_id, request))
    for _ in range(limit - len(latest)):
        table.add(**dict.fromkeys(_READING_TITLES, ""))
    return table.table


def _reading_row(scene: Scene, reading_id: str, request: Received) -> dict[str, str | Text]:
    reading = next(iter(request.readings), {})
    cells = (
        clock_of(reading.get("measured_at")),
        plain(request.device),
        power(reading),
        register(reading),
        _whereabouts(scene, reading_id, request.device),
    )
    return dict(zip(_READING_TITLES, cells, strict=True))


def _whereabouts(scene: Scene, reading_id: str, device: str) -> Text:
    entitled = [recipient for recipient in scene.recipients if device in recipient.devices]
    arrived = [one.name for one in entitled if reading_id in one.listener.accepted]
    waiting = [f"{one.name}…" for one in entitled if reading_id not in one.listener.accepted]
    return Text(" ").join([*map(Text, arrived), *(Text(one, style="yellow") for one in waiting)])


def _story(progress: Progress, *, is_short: bool) -> RenderableType:
    story = _grid(columns=3)
    for step, words in STEPS.items():
        if is_short and step != progress.current:
            continue
        remarks = [remark for remark in progress.remarks if remark.step == step]
        at = f"{remarks[0].at_seconds:4.0f} s" if remarks else ""
        sign, style = _sign(step, progress)
        story.add_row(Text(sign, style=style), Text(at, style="dim"), Text(words, style=style))
        for remark in remarks[1:]:
            story.add_row("", "", Text(plain(remark.words), style="cyan"))
    return story


def _sign(step: StepName, progress: Progress) -> tuple[str, str]:
    if step in progress.done:
        return "✓", "green"
    return ("▸", "bold") if step == progress.current else ("·", "dim")


def show_verdict(console: Console, verdict: Verdict) -> None:
    """The summary: a row per endpoint, and one sentence."""
    table = _table("endpoint")
    for heading in ("owed", "arrived", "verified", "retries", "duplicates"):
        table.add_column(heading, justify="right")
    table.add_column("in order")
    for one in verdict.accounts:
        is_ordered = not any(problem.startswith("out of order") for problem in one.problems)
        counts = (one.owed, one.arrived, one.verified, one.retries, one.duplicates)
        table.add_row(one.name, *map(str, counts), "yes" if is_ordered else "NO")
    console.print()
    console.print(table)
    console.print()
    style = "red" if verdict.problems else "green"
    console.print(Text(_conclusion(verdict), style=style), soft_wrap=not console.is_terminal)


def _conclusion(verdict: Verdict) -> str:
    if not verdict.problems:
        return (
            f"All {verdict.published} published readings arrived wherever they were wanted, each signature verified, "
            "in order per device but for the dead letter, which arrived late, when it was replayed."
        )
    problems = (f"  {plain(problem)}" for problem in verdict.problems)
    return "\n".join(["This did not go as it should:", *problems])


def _grid(*, columns: int = 1, gap: int = 2) -> Table:
    grid = Table.grid(padding=(0, gap), expand=False)
    for _ in range(columns):
        grid.add_column()
    return grid


def _table(*headings: str) -> Table:
    return Table(*headings, box=SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False)
